// The formulas of the theories of this build, for one instruction set.

// clang-format off: the order matters
#include "lattice/cursor.inl"
#include "lattice/sums.inl"
#include "lattice/phi4.inl"
#include "lattice/loops.inl"
#include "lattice/u1.inl"
#include "lattice/su.inl"
#include "lattice/wilson_2d_matrices.inl"
#include "lattice/wilson_2d.inl"
#include "lattice/schwinger.inl"
// clang-format on
