// The densities of the noise that flows begin with, and how far their inverses miss, for plain numbers and for tensors.
#pragma once

#include <cstddef>

#include "math/value.h"

namespace flowloom {

#include "flow/densities.inl"

// What normal_log_density leaves out, log sqrt(2 pi) for each variable; to be subtracted.
inline constexpr double kLogSqrtTwoPi = 0.91893853320467274178;
constexpr double normal_log_constant(std::size_t variables) { return kLogSqrtTwoPi * static_cast<double>(variables); }

// log of the density of independent angles, uniform on the circle.
inline constexpr double kLogTwoPi = 1.8378770664093454836;
constexpr double uniform_angles_log_density(std::size_t angles) { return -kLogTwoPi * static_cast<double>(angles); }

}  // namespace flowloom
