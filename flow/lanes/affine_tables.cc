#include "flow/lanes/affine_tables.h"

#include "math/elementary.h"

namespace flowloom::lanes {

FreeField::FreeField(const FreeFieldBasis& basis, double mass2) {
  for (const double khat2 : basis.khat2) {
    amplitude.push_back(free_field_amplitude(khat2, mass2));
    log_slope.push_back(free_field_log_slope(khat2, mass2));
    log_det += log(amplitude.back());
  }
}

AffineTables::AffineTables(const Geometry& geometry, const AffineCouplingFlow& architecture, Use use)
    : volume(geometry.sites()),
      extents(geometry.extents().begin(), geometry.extents().end()),
      networks(geometry, architecture.network(), AffineCouplingFlow::masks(geometry), use) {
  if (architecture.prior() == Prior::kFreeField) basis.emplace(geometry);
}

template <class Real>
AffineWeights<Real>::AffineWeights(const AffineTables& tables, const AffineCouplingFlow& architecture,
                                   std::span<const double> weights)
    : prior([&]() -> std::optional<FreeField> {
        architecture.refuse_other_count(weights.size());
        if (!tables.basis) return {};
        return FreeField(*tables.basis, exp(take(1, weights).front()));
      }()),
      networks(tables.networks, architecture.layers(), weights),
      log_scale(architecture.rescales() ? take(1, weights).front() : 0) {}

template struct AffineWeights<float>;
template struct AffineWeights<double>;

}  // namespace flowloom::lanes
