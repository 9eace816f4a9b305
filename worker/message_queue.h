// What the reading thread hands to the computing one: a bounded queue.
//
// A full queue makes the reader wait, and the stream's flow control then makes the coordinator wait. Any
// thread may call anything.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace flowloom {

template <class T>
class MessageQueue {
 public:
  explicit MessageQueue(std::size_t capacity) : capacity_(capacity) {}

  // Waits while the queue is full. Drops `message` once `abandon` was called.
  void push(T message) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.size() < capacity_ || abandoned_; });
    if (abandoned_) return;
    queue_.push_back(std::move(message));
    changed_.notify_all();
  }

  // Waits for a message; nothing once the queue is closed and empty, or abandoned.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !queue_.empty() || closed_ || abandoned_; });
    if (queue_.empty() || abandoned_) return {};
    std::optional<T> message(std::move(queue_.front()));
    queue_.pop_front();
    changed_.notify_all();
    return message;
  }

  // Nothing more will come; what is there can still be taken.
  void close() { end(closed_); }

  // What is there is not wanted any more.
  void abandon() { end(abandoned_); }

 private:
  void end(bool& flag) {
    const std::lock_guard lock(mutex_);
    flag = true;
    changed_.notify_all();
  }

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> queue_;
  bool closed_ = false, abandoned_ = false;
};

}  // namespace flowloom
