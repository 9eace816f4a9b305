// Monotone splines of rational quadratic pieces (arXiv:1906.04032), on an interval or around a circle
// (arXiv:2002.02428), for plain numbers and for tensors.
//
// A spline takes [0, length] to itself, 0 to 0 and length to length, in K bins:
//
//   interval   length 1; K + 1 derivatives at the knots, those at both ends free
//   circle     length kTwoPi; K derivatives, and the one at the last knot is the first: continuously differentiable
//              across 0. A rotation is not part of it: shift_angle() (math/angle.h).
//
// Raw parameters, unconstrained, in this order: K widths a, K heights b, the derivatives c. With eps = kSplineFloor
//
//   widths   w = length (eps + (1 - K eps) softmax(a));   heights in the same way from b
//   delta    = exp(c), c clamped to [-kMostLogDerivative, kMostLogDerivative]
//
// so that all raw parameters 0 are the identity, to rounding. Any finite raw parameters give finite numbers.
#pragma once

#include <cstddef>

#include "flow/transformed.h"
#include "math/angle.h"

namespace flowloom {

inline constexpr std::size_t kMaxSplineBins = 32;

// The least width and height of a bin, in lengths.
inline constexpr double kSplineFloor = 1e-3;

// Derivatives by their logs: where a density has a tail of e^-10 of its mean, slopes are e^10, which a softplus would
// have at a raw parameter of 2e4.
inline constexpr double kMostLogDerivative = 10.0;

struct SplineShape {
  std::size_t bins;  // K, 1 to kMaxSplineBins
  bool circular;

  constexpr double length() const { return circular ? kTwoPi : 1.0; }
  constexpr std::size_t derivatives() const { return circular ? bins : bins + 1; }
  constexpr std::size_t parameters() const { return 2 * bins + derivatives(); }
};

#include "flow/spline.inl"

}  // namespace flowloom
