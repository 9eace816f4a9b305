// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/angle.inl"
#include "math/philox.inl"
#include "lattice/cursor.inl"
#include "lattice/phi4.inl"
#include "lattice/loops.inl"
#include "lattice/u1.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
#include "flow/transformed.inl"
#include "flow/spline.inl"
#include "flow/circle_mixture.inl"
#include "flow/circle_map.inl"
// clang-format on
