// Gauge-equivariant couplings of a field of angles, one for each link (arXiv:2003.06413); flow/loop_coupling.h says
// which links change and what the networks see.
//
//   field = layer_{n-1}( ... layer_0( z ) ... ),  z independent and uniform on the circle
//
// The active loop's angle x, which no gauge transformation changes, goes through a monotone map f of the circle and a
// rotation, and the link takes the change: theta' = theta + (f(x) + t - x). The network gives the parameters of f, and
// t; it sees the cosine and the sine of each loop. So log_det = sum of log f'(x) over the active links.
#pragma once

#include "flow/circle_map.h"
#include "flow/loop_coupling.h"
#include "lattice/field_type.h"
#include "lattice/theories.h"

namespace flowloom {

class GaugeCouplingFlow : public LoopCouplingFlow {
 public:
  static constexpr FieldType kFieldType = FieldType::kAngle;

  // `section` is the [flow] of a run file after checking against `kind().keys`.
  GaugeCouplingFlow(const Section& section, const AnyTheory& theory);
  static const Kind& kind();

  CircleMap map() const { return map_; }
  std::size_t pieces() const { return pieces_; }  // bins or components

  // Of f, without the rotation, which stands behind them.
  std::size_t map_parameters() const { return link_parameters() - 1; }

 private:
  CircleMap map_;
  std::size_t pieces_;
};

}  // namespace flowloom
