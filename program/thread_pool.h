// A few threads that share out numbered pieces of work.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace flowloom {

class ThreadPool {
 public:
  // `threads` >= 1, the caller of `for_each` included.
  explicit ThreadPool(std::size_t threads);

  std::size_t threads() const { return helpers_.size() + 1; }

  // Calls work(0) … work(count - 1), each once, begun in this order, and returns when all that were begun
  // have ended. After the first exception, or once `stop` is requested, no more are begun; the exception is
  // thrown here. True if all were done. One caller at a time.
  bool for_each(std::size_t count, const std::function<void(std::size_t)>& work, std::stop_token stop = {});

 private:
  void share(std::unique_lock<std::mutex>& lock);  // takes pieces until there are none

  std::mutex mutex_;
  std::condition_variable_any changed_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t next_ = 0, count_ = 0;  // pieces in [next_, count_) are still to be begun
  std::size_t busy_ = 0;              // begun and not ended
  std::stop_token stop_;
  std::exception_ptr problem_;
  std::vector<std::jthread> helpers_;  // last: they use everything above
};

}  // namespace flowloom
