// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/philox.inl"
#include "math/dual.inl"
#include "lattice/phi4.inl"
#include "lattice/wilson_2d_matrices.inl"
#include "lattice/wilson_2d.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
// clang-format on
