// The uniforms of one noise address (spec/noise.h), one after the other: for algorithms that reject, and so cannot say
// beforehand how many they take.
#pragma once

#include <array>
#include <cstdint>

#include "spec/noise.h"

namespace flowloom {

class NoiseStream {
 public:
  NoiseStream(NoiseKey key, Purpose purpose, std::uint64_t index) : key_(key), purpose_(purpose), index_(index) {}

  // Component 0, 1, 2, ... of the uniform vector at this address, in (0, 1].
  double uniform() {
    if (taken_ % 2 == 0) pair_ = uniforms(key_, purpose_, index_, taken_ / 2);
    return pair_[taken_++ % 2];
  }

 private:
  NoiseKey key_;
  Purpose purpose_;
  std::uint64_t index_;
  std::uint32_t taken_ = 0;
  std::array<double, 2> pair_{};
};

}  // namespace flowloom
