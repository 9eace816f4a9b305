// U(1) gauge theory in two dimensions, pure gauge (arXiv:2003.06413).
//
//   S = -beta sum_x cos P(x),   P(x) = theta_0(x) + theta_1(x+0) - theta_0(x+1) - theta_1(x)
//
// theta_mu(x), the angle of the link from x to x+mu, in radians: component mu of the field. Gauge transformations are
// theta_mu(x) -> alpha(x) + theta_mu(x) - alpha(x+mu). Direction 1 is time.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "lattice/cursor.h"
#include "lattice/field_type.h"
#include "lattice/geometry.h"
#include "lattice/linear_action.h"
#include "lattice/loops.h"
#include "lattice/observable.h"
#include "lattice/sums.h"
#include "math/angle.h"
#include "spec/run_spec.h"

namespace flowloom {

class U1Gauge {
 public:
  static constexpr FieldType kFieldType = FieldType::kAngle;

  // `section` is the [theory] of a run file after checking against `kind().keys`.
  explicit U1Gauge(const Section& section);
  static const Kind& kind();

  const Geometry& geometry() const { return geometry_; }
  static constexpr std::size_t components() { return 2; }

  // What is summed over sites and logged for each proposal, in this order; LocalDensities<U1Gauge> has the summands.
  static constexpr std::size_t kSums = 7;
  static const std::array<SumInfo, kSums>& sums();

  LinearAction<kSums, 1> action() const { return {{-beta_}, 0}; }
  double beta() const { return beta_; }

  // Functions of the sums whose chain averages the status and the final table show; the first is the default.
  std::vector<Observable> observables() const;

  // Its mean on this very lattice, where there is a formula (lattice/references.h): `exact_pure_gauge` and
  // `u1_susceptibility`; kLogZ of the measure d theta; charge: 0, by theta -> -theta.
  std::optional<double> exact(const std::string& observable) const;

 private:
  Geometry geometry_;
  double beta_ = 0;
};

#include "lattice/u1.inl"

}  // namespace flowloom
