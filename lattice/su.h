// SU(2) and SU(3) gauge theory, pure gauge, with Wilson's action (Wilson, Phys. Rev. D 10 (1974) 2445).
//
//   S = -(beta / N) sum_x sum_{mu < nu} Re tr P_{mu nu}(x)
//   P_{mu nu}(x) = U_mu(x) U_nu(x+mu) U_mu(x+nu)^dagger U_nu(x)^dagger
//
// U_mu(x), the matrix of the link from x to x+mu. Gauge transformations are U_mu(x) -> W(x) U_mu(x) W(x+mu)^dagger. The
// last direction is time.
//
// A configuration is [mu][row][column][re, im][site], flat: component 2 N^2 mu + 2 (N row + column) + (0 or 1) of the
// field. The N columns and rows are all there, redundant as they are: what is measured, and the networks' loops, need
// no further arithmetic to get at them.
//
// Densities are with respect to the Haar measure of all links, normalised to 1: independent Haar-distributed links have
// log_q = 0, and Z = int dU exp(-S) is what lattice/exact_2d.h has. Slopes by links (flow/lanes, `theory_force`) are
// `left` ones of math/matrix.h in the same layout: matrices F of su(N) with dS = Re tr(F^dagger dU U^dagger).
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
#include "math/matrix.h"
#include "spec/run_spec.h"

namespace flowloom {

// N is 2 or 3.
template <int N>
class SuGauge {
 public:
  static constexpr FieldType kFieldType = FieldType::kMatrix;
  static constexpr int kColours = N;

  // `section` is the [theory] of a run file after checking against `kind().keys`.
  explicit SuGauge(const Section& section);
  static const Kind& kind();

  const Geometry& geometry() const { return geometry_; }
  std::size_t components() const { return geometry_.dimensions() * 2 * N * N; }

  // What is summed over sites and logged for each proposal, in this order; LocalDensities<SuGauge<N>> has the summands.
  // Traces of SU(2) are real.
  static constexpr std::size_t kSums = N == 2 ? 5 : 6;
  static const std::array<SumInfo, kSums>& sums();

  LinearAction<kSums, 1> action() const { return {{-beta_}, 0}; }
  double beta() const { return beta_; }

  // Functions of the sums whose chain averages the status and the final table show; the first is the default.
  std::vector<Observable> observables() const;

  // Its mean on this very lattice, where there is a formula (lattice/references.h): `exact_pure_gauge`.
  std::optional<double> exact(const std::string& observable) const;

 private:
  Geometry geometry_;
  double beta_ = 0;
};

using Su2Gauge = SuGauge<2>;
using Su3Gauge = SuGauge<3>;

#include "lattice/su.inl"

}  // namespace flowloom
