// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/angle.inl"
#include "math/philox.inl"
#include "math/dual.inl"
#include "lattice/phi4.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
#include "flow/transformed.inl"
#include "flow/spline.inl"
#include "flow/circle_mixture.inl"
// clang-format on
