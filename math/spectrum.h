// The spectral decomposition of SU(2) and SU(3) matrices of plain numbers,
//
//   u = V diag(e^(i theta)) V^dagger,   theta_1 <= ... <= theta_N <= theta_1 + 2 pi,   sum theta = 0.
//
// These angles are a cell that has each class of conjugate matrices once. decompose(u) gives V and the gaps
//
//   g_1 = (theta_2 - theta_1) / 2 pi,   ...,   g_N = (theta_1 + 2 pi - theta_N) / 2 pi
//
// in turns: all at least 0, with sum 1. They fix the angles: -theta_1 = theta_2 = pi g_1 for SU(2); for SU(3)
// theta_1 = -2 pi (2 g_1 + g_2)/3, theta_2 = 2 pi (g_1 - g_2)/3, theta_3 = 2 pi (g_1 + 2 g_2)/3.
//
// Without branches, and exact to rounding for any distance of the eigenvalues: |V diag V^dagger - u| < 6e-15 and
// |V^dagger V - 1| < 3e-15 in Frobenius' norm, gaps to 1e-15. Where eigenvalues coincide V is one of many. The input
// must be in SU(N) to rounding; if it holds a NaN, so do all gaps.
#pragma once

#include "math/elementary.h"
#include "math/matrix.h"

namespace flowloom {

#include "math/spectrum.inl"

}  // namespace flowloom
