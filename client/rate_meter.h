// How fast proposals came, counting only the time in which they did: waiting for a version is no sampling. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

namespace flowloom {

class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;

  void seen(std::uint64_t proposals, Clock::time_point now) {
    if (last_ && proposals > last_->proposals) {
      drawn_ += proposals - last_->proposals;
      seconds_ += std::chrono::duration<double>(now - last_->at).count();
    }
    last_ = {proposals, now};
  }

  double seconds() const { return seconds_; }
  std::uint64_t drawn() const { return drawn_; }
  double per_second() const {
    return seconds_ > 0 ? static_cast<double>(drawn_) / seconds_ : std::numeric_limits<double>::quiet_NaN();
  }

 private:
  struct Last {
    std::uint64_t proposals;
    Clock::time_point at;
  };
  std::optional<Last> last_;
  std::uint64_t drawn_ = 0;
  double seconds_ = 0;
};

}  // namespace flowloom
