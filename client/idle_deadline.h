// A deadline of each message of a stream instead of the whole: ends a call in which the next one does not come in time.
// What the reader does with a message counts for nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace flowloom {

class IdleDeadline {
 public:
  // `expired` is called once, on a thread of its own, if somebody waits for longer than `patience` (and a quarter, at
  // most).
  IdleDeadline(std::chrono::milliseconds patience, std::function<void()> expired)
      : patience_(patience), thread_([this, expired = std::move(expired)](std::stop_token stop) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          while (!stop.stop_requested() && now() < until_) {
            std::condition_variable_any().wait_for(lock, stop, patience_ / 4, [] { return false; });
          }
          if (!stop.stop_requested()) expired();
        }) {}

  // Around the wait for a message; from one thread.
  void begin() { until_ = now() + patience_.count(); }
  void end() { until_ = kNever; }

 private:
  using Milliseconds = std::chrono::milliseconds;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  static std::int64_t now() {
    return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  const Milliseconds patience_;
  std::atomic<std::int64_t> until_ = kNever;
  std::jthread thread_;
};

}  // namespace flowloom
