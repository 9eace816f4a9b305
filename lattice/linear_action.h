// An action that is linear in the sums that the log keeps, S = constant + sum_k slopes[k] sums[k]: so other couplings
// can be reached by reweighting, and its slopes by the field are those of the local densities.
#pragma once

#include <array>
#include <cstddef>

namespace flowloom {

// Of the `kSums` sums the first `kUsed` are what the action is made of; the slopes of the others are 0.
template <std::size_t kSums, std::size_t kUsed = kSums>
struct LinearAction {
  static constexpr std::size_t kUsedSums = kUsed;

  std::array<double, kSums> slopes;
  double constant = 0;

  // S of `sums`, numbers or tensors; those that the action does not contain may be anything.
  template <class T>
  T of(const std::array<T, kSums>& sums) const {
    std::size_t k = 0;
    while (k + 1 < kSums && slopes[k] == 0) ++k;
    T action = sums[k] * slopes[k];
    while (++k < kSums) {
      if (slopes[k] != 0) action = action + sums[k] * slopes[k];
    }
    return action + constant;
  }

  // The slopes by sums first, first + 1, ...
  template <std::size_t kCount>
  std::array<double, kCount> slopes_from(std::size_t first) const {
    std::array<double, kCount> own{};
    for (std::size_t k = 0; k < kCount; ++k) own[k] = slopes[first + k];
    return own;
  }
};

}  // namespace flowloom
