// Maps of SU(2) and SU(3) that commute with conjugation (spectral maps; arXiv:2008.05456), for coupling layers.
//
// A loop L = U W, the active link U times the frozen rest of the loop, is taken to L' = h(L) with h(X L X^dagger) = X
// h(L) X^dagger: its eigenvectors stay, its angles move within their cell (math/spectrum.h), edges to edges. Then U' =
// L' L^dagger U.
//
//   spectrum = decompose(L)
//   box = box_of(spectrum)                             coordinates u, and v for SU(3), in (0, 1)
//   box' = any monotone maps of [0, 1]                 u' = f(u), v' = f(v; u)
//   from = cell_of(box), to = cell_of(box')
//   L' = recompose(spectrum.vectors, to)
//   U' = turn_between(spectrum.vectors, from, to) U    which is unitary to rounding, and 1 where nothing moves
//   log_det = log_det_of_cells(from, to) + log df/du + log df/dv
//
// log_det is the log of the Jacobian of L -> L' with respect to the Haar measure, and that of U -> U': the two differ
// by fixed factors. With the identity for f it is 0 exactly and L' = L to rounding.
//
// Near degeneracy. A gap counts as at least kLeastGap (where L has a smaller one, L' is off by up to 9e-12): all is
// finite, and continuous across. u and v lose digits near 1, for 1 - u is known to 1e-16: a gap g there leaves log_det
// good to about 1e-16/g and its slopes to 1e-16/g^2.
//
// Slopes. F is the matrix of su(N) with d loss = Re tr(F^dagger dL' L'^dagger) or, which is the same, of U' for L': it
// is algebra_part(G U'^dagger) if d loss = Re tr(G^dagger dU') (math/matrix.h). Backwards, with the loss's slope by
// log_det:
//
//   recompose_pull_back(vectors, to, F, log_det_slope)
//       .box      slopes by u', v', to be pulled back through f by the caller, who adds log_det_slope times those of
//                 the logs of df/du and df/dv: slopes by u, v (and by what f depends on)
//       .frame    for decompose_pull_back
//   decompose_pull_back(vectors, from, to, frame, box slopes by u and v, log_det_slope)
//       .link     F by L, which is that by U:  d loss = Re tr(link^dagger dU U^dagger);  a Euclidean one is link U
//       .rest     that by W, from the right:   d loss = Re tr(rest^dagger W^dagger dW);  a Euclidean one is W rest
//
// `rest` has both ways on which W matters, through L and through U' = L' W^dagger. No slope divides by a difference of
// eigenvalues that could be 0: it takes ratios of sin(pi gap), both at least kLeastGap or mapped from it.
//
// The inverse map is the one with `from` and `to` exchanged and f^-1. So a density's slope D by L,
// d log q(L) = Re tr(D^dagger dL L^dagger), is taken to that of log q(L) - log_det by L' (arXiv:2403.15881) by
//
//   recompose_pull_back(vectors, from, D, 1)
//   the caller's step through f^-1, whose logs of slopes count, too
//   decompose_pull_back(vectors, to, from, frame, slopes by u' and v', 1).link
#pragma once

#include "math/angle.h"
#include "math/spectrum.h"

namespace flowloom {

// Of the distances of neighbouring eigenvalues, in turns.
inline constexpr double kLeastGap = 1e-12;

#include "flow/spectral.inl"

}  // namespace flowloom
