// The mathematics for one instruction set, whose Lanes have been defined before.
// clang-format off: the order matters
#include "math/elementary.inl"
#include "math/angle.inl"
#include "math/philox.inl"
#include "math/matrix.inl"
#include "math/haar.inl"
#include "math/spectrum.inl"
#include "lattice/theories.inl"
#include "flow/activation.inl"
#include "flow/affine.inl"
#include "flow/densities.inl"
#include "flow/transformed.inl"
#include "flow/spline.inl"
#include "flow/circle_mixture.inl"
#include "flow/circle_map.inl"
#include "flow/spectral.inl"
#include "flow/spectral_splines.inl"
// clang-format on
