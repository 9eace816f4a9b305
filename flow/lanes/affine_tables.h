// What the lane engine prepares for affine coupling flows (flow/affine_coupling.h), besides the networks' part
// (flow/lanes/plan.h).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "flow/affine_coupling.h"
#include "flow/free_field.h"
#include "flow/lanes/plan.h"

namespace flowloom::lanes {

// The free field's map for one mass (flow/free_field.h).
struct FreeField {
  FreeField(const FreeFieldBasis& basis, double mass2);

  std::vector<double> amplitude;  // [mode]
  std::vector<double> log_slope;  // [mode]: d(log amplitude) / d(log mass2)
  double log_det = 0;             // of noise -> field
};

// A flow on a lattice.
struct AffineTables {
  AffineTables(const Geometry& geometry, const AffineCouplingFlow& architecture, Use use = Use::kSampling);

  std::size_t volume;
  std::vector<std::size_t> extents;
  NetworkTables networks;
  std::optional<FreeFieldBasis> basis;  // nothing: the normal prior
};

template <class Real>
struct AffineWeights {
  AffineWeights(const AffineTables& tables, const AffineCouplingFlow& architecture, std::span<const double> weights);

  std::optional<FreeField> prior;  // nothing: the normal prior
  PackedNetworks<Real> networks;
  double log_scale = 0;  // of the rescaling
};

}  // namespace flowloom::lanes
