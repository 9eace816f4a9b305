#include "program/thread_pool.h"

#include <utility>

namespace flowloom {

ThreadPool::ThreadPool(std::size_t threads) {
  for (std::size_t i = 1; i < threads; ++i) {
    helpers_.emplace_back([this](std::stop_token end) {
      std::unique_lock lock(mutex_);
      while (changed_.wait(lock, end, [&] { return next_ < count_; })) share(lock);
    });
  }
}

bool ThreadPool::for_each(std::size_t count, const std::function<void(std::size_t)>& work, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  next_ = 0;
  count_ = count;
  stop_ = std::move(stop);
  changed_.notify_all();
  share(lock);
  changed_.wait(lock, [&] { return busy_ == 0; });
  stop_ = {};
  if (problem_) std::rethrow_exception(std::exchange(problem_, nullptr));
  return next_ == count;
}

void ThreadPool::share(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    if (stop_.stop_requested()) {
      count_ = next_;
      break;
    }
    const std::size_t piece = next_++;
    ++busy_;
    lock.unlock();
    std::exception_ptr problem;
    try {
      (*work_)(piece);
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    --busy_;
    if (problem && !problem_) problem_ = problem;
    if (problem) count_ = next_;
  }
  changed_.notify_all();
}

}  // namespace flowloom
