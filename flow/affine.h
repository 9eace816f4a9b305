// The affine coupling's transform and the normal prior's density, for one variable (arXiv:2101.08176).
//
// T is a value with arithmetic and exp: a double, a vector of samples, a tensor.
#pragma once

#include <cmath>

namespace flowloom {

// y = x e^s + t; the layer's log_det is the sum of s over its active variables.
template <class T>
T affine_forward(const T& x, const T& s, const T& t) {
  using std::exp;
  return x * exp(s) + t;
}

// x = (y - t) e^-s; contributes -s to log_det.
template <class T>
T affine_inverse(const T& y, const T& s, const T& t) {
  using std::exp;
  return (y - t) * exp(-s);
}

// log of the standard normal density without its constant.
template <class T>
T normal_log_density(const T& z) {
  return z * z * -0.5;
}

// The constant left out above, per variable: log sqrt(2 pi).
inline constexpr double kLogSqrtTwoPi = 0.91893853320467274178;

// Between a network's convolutions; the slope is the usual one (arXiv:2101.08176).
inline constexpr double kLeakySlope = 0.01;

}  // namespace flowloom
