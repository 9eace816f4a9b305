// Complex numbers and small complex matrices of plain numbers: Complex<double>, Matrix<3, double>.
//
// A loss's slope by a matrix comes in two forms:
//   Euclidean    a matrix G:            d loss = Re tr(G^dagger dU)
//   left         F in su(N), U in SU(N):  d loss = Re tr(F^dagger dU U^dagger)
// F = algebra_part(times_adjoint(G, U)); G = F U is one of the matrices with that F, and the only one tangent to the
// group.
#pragma once

#include <type_traits>
#include <utility>

#include "math/value.h"

namespace flowloom {

#include "math/matrix.inl"

}  // namespace flowloom
