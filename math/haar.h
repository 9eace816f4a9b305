// Haar-distributed matrices of SU(2) and SU(3), of plain numbers.
#pragma once

#include <array>

#include "math/matrix.h"

namespace flowloom {

// Standard normals that one matrix takes.
template <int N>
inline constexpr int kNormalsPerLink = 2 * N * (N - 1);

#include "math/haar.inl"

}  // namespace flowloom
