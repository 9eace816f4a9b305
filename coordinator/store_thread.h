// The thread that owns the store: all that touches the disk waits here and nowhere else, in the order in which it was
// posted.
#pragma once

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>
#include <utility>

#include "chain/store.h"

namespace flowloom {

class StoreThread {
 public:
  explicit StoreThread(Store store) : store_(std::move(store)), thread_([this] { io_.run(); }) {
    ::pthread_setname_np(thread_.native_handle(), "store");  // as ps -T and perf show it
  }

  // Ends after what was posted.
  ~StoreThread() {
    guard_.reset();
    thread_.join();
  }

  // Runs `work(store)`, which must not throw, later. Any thread.
  template <class Work>
  void post(Work work) {
    boost::asio::post(io_, [this, work = std::move(work)]() mutable { work(store_); });
  }

 private:
  Store store_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{io_.get_executor()};
  std::thread thread_;
};

}  // namespace flowloom
