// The one way to try again: exponential waits with jitter up to a cap, ended by a stop token; says once that a
// connection is lost and once that it is back.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>

namespace flowloom {

class Retry {
 public:
  using Log = std::function<void(const std::string&)>;
  static constexpr std::chrono::milliseconds kCap{5000};  // the longest wait, unless told otherwise

  // `what` names the peer in the two sentences: "the coordinator at 127.0.0.1:4000".
  Retry(std::string what, Log log, std::chrono::milliseconds first = std::chrono::milliseconds(100),
        std::chrono::milliseconds cap = kCap)
      : what_(std::move(what)), log_(std::move(log)), first_(first), cap_(cap) {}

  // To be called when the peer answers.
  void succeeded() {
    if (lost_) log_("Connection to " + what_ + " is back.");
    lost_ = false;
    known_ = true;
    next_ = first_;
  }

  // To be called when it does not; waits. A peer that named a time (`after`) is left alone until then, and for up to as
  // long again: many who were told the same do not come back in one moment. Returns false if `stop` was requested.
  bool failed(const std::string& why, std::stop_token stop, std::chrono::milliseconds after = {}) {
    if (!lost_) {
      const std::string reason = why.ends_with('.') ? why.substr(0, why.size() - 1) : why;
      log_((known_ ? "Connection to " + what_ + " is lost (" : "No connection to " + what_ + " yet (") + reason +
           "); trying again.");
    }
    lost_ = true;
    if (next_.count() == 0) next_ = first_;
    const auto between = [&](auto least, auto most) {
      return std::chrono::milliseconds(
          std::uniform_int_distribution<std::int64_t>(least.count(), most.count())(random_));
    };
    const auto wait = std::max(between(next_ / 2, next_), between(after, 2 * after));
    next_ = std::min(cap_, next_ * 2);
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, wait, [] { return false; });
    return !stop.stop_requested();
  }

 private:
  std::string what_;
  Log log_;
  std::chrono::milliseconds first_, cap_, next_{0};
  bool lost_ = false, known_ = false;  // `known_`: it has answered once
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace flowloom
