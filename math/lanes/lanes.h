// What Lanes (vector_lanes.inl, portable_lanes.inl) are loaded from and stored to.
#pragma once

#include <cstddef>

namespace flowloom::lanes {

inline constexpr std::size_t kLanes = 16;

// One number of every sample.
template <class Real>
struct alignas(64) Row {
  Real lane[kLanes];
};

}  // namespace flowloom::lanes
