// The affine coupling for plain numbers and for tensors.
#pragma once

#include <cstddef>

#include "math/elementary.h"

namespace flowloom {

#include "flow/affine.inl"

// What normal_log_density leaves out, log sqrt(2 pi) for each variable; to be subtracted.
inline constexpr double kLogSqrtTwoPi = 0.91893853320467274178;
constexpr double normal_log_constant(std::size_t variables) { return kLogSqrtTwoPi * static_cast<double>(variables); }

}  // namespace flowloom
