// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/philox.inl"
#include "math/dual.inl"
#include "math/matrix.inl"
#include "math/haar.inl"
#include "math/spectrum.inl"
#include "lattice/phi4.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
#include "flow/spectral.inl"
// clang-format on
