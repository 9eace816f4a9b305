// The affine coupling for plain numbers and for tensors.
#pragma once

#include "math/elementary.h"

namespace flowloom {

#include "flow/affine.inl"

// The constant that normal_log_density leaves out, per variable: log sqrt(2 pi).
inline constexpr double kLogSqrtTwoPi = 0.91893853320467274178;

}  // namespace flowloom
