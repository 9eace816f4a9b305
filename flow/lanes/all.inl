// The lane engine for one instruction set, whose Lanes have been defined before: the mathematics, then the walk.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/philox.inl"
#include "lattice/phi4.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
#include "flow/lanes/model.inl"
// clang-format on
