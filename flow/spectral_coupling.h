// Gauge-equivariant couplings of a field of SU(2) or SU(3) matrices, one for each link, by their loops' eigenvalues
// (arXiv:2008.05456); flow/loop_coupling.h says which links change and what the networks see.
//
//   field = layer_{n-1}( ... layer_0( z ) ... ),  z independent, of the Haar measure
//
// The active loop L = U W, the link U times the rest, keeps its eigenvectors; its eigenvalues move within their cell
// (flow/spectral.h), in the coordinates u, and v for SU(3), by monotone splines of [0, 1] (flow/spline.h). The link
// takes the change, U' = L' L^dagger U. So log_det, with respect to the Haar measure, is the sum of the loops' own.
//
// The network gives the splines' raw parameters: those of u first; for SU(3) then a, of v. With `autoregressive` v's
// are a + b cos(pi u), the numbers b standing behind a: u and v of the target are not independent, and the cosine,
// which is there anyhow, distinguishes small u from large ones without a network at each link. It sees Re tr / N of
// each loop and, for SU(3), Im tr / N. With all outputs 0 the flow is the identity to rounding, log_det = 0 exactly.
//
// U' is U times a matrix that is unitary to rounding whatever L is: so links leave the group by the sum of their
// updates' rounding errors, not by their loops' (docs/lanes.md has figures), and nothing is projected back.
#pragma once

#include "flow/loop_coupling.h"
#include "flow/spectral_splines.h"
#include "lattice/field_type.h"
#include "lattice/theories.h"

namespace flowloom {

class SpectralCouplingFlow : public LoopCouplingFlow {
 public:
  static constexpr FieldType kFieldType = FieldType::kMatrix;

  // `section` is the [flow] of a run file after checking against `kind().keys`, `theory` one of SU(2) or SU(3).
  SpectralCouplingFlow(const Section& section, const AnyTheory& theory);
  static const Kind& kind();

  const SpectralSplines& splines() const { return splines_; }

 private:
  SpectralSplines splines_;
};

}  // namespace flowloom
