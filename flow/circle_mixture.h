// Mixtures of non-compact projections of the circle (arXiv:2002.02428; for U(1) arXiv:2003.06413), for plain numbers
// and for tensors. With K raw parameters s_k, each clamped to [-kMostLogScale, kMostLogScale]:
//
//   h(phi) = (1/K) sum_k h_k(phi),   h_k(phi) = 2 atan(e^s_k tan(phi/2)) on the sheet of phi
//          = 2 atan2(e^s_k sin(phi/2), cos(phi/2)) for phi in [-pi, pi],   h_k(phi + 2 pi) = h_k(phi) + 2 pi
//
// Every h_k fixes the multiples of pi, so h is a bijection of every interval between them, [0, 2 pi] and [-pi, pi]
// included. It is odd. Its slope lies in [e^-10, e^10]; s = 0 is the identity, to rounding. A rotation is not part of
// it: shift_angle() (math/angle.h).
//
// Beyond the clamp the slope by s_k is 0.
#pragma once

#include <cstddef>
#include <initializer_list>

#include "flow/transformed.h"
#include "math/angle.h"

namespace flowloom {

inline constexpr std::size_t kMaxMixtureComponents = 16;
inline constexpr double kMostLogScale = 10.0;

#include "flow/circle_mixture.inl"

}  // namespace flowloom
