// How often a program that keeps dying is started again. Pure: time comes in with each call.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

namespace flowloom {

class RestartPolicy {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kRestarts = 5;  // within `kWithin`
  static constexpr std::chrono::seconds kWithin{60};

  // When to start it again after it died at `now`: after a pause that doubles from 0.2 s with each recent
  // death. Nothing if it died more than `kRestarts` times within a minute.
  std::optional<Clock::time_point> died(Clock::time_point now) {
    while (!deaths_.empty() && now - deaths_.front() > kWithin) deaths_.pop_front();
    deaths_.push_back(now);
    if (deaths_.size() > kRestarts) return {};
    return now + std::chrono::milliseconds(200) * (1 << (deaths_.size() - 1));
  }

  std::size_t recent_deaths() const { return deaths_.size(); }

 private:
  std::deque<Clock::time_point> deaths_;
};

}  // namespace flowloom
