// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/philox.inl"
#include "lattice/cursor.inl"
#include "lattice/phi4.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
// clang-format on
