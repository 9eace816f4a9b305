// Real scalar phi^4 theory on a periodic lattice of any dimension d, in two forms of one action.
//
//   form A   S = sum_x [ -2 sum_mu phi(x) phi(x+mu) + (2d + m2) phi(x)^2 + lambda phi(x)^4 ]
//            (no factor 1/2 anywhere; the form of arXiv:1904.12072)
//   form B   S = sum_x [ -beta sum_mu phi(x) phi(x+mu) + phi(x)^2 + lambda (phi(x)^2 - 1)^2 ]
//            (arXiv:2211.12806, eq. 7; the constant lambda V is included)
//
// phi_B = sqrt(2/beta) phi_A turns one into the other. Both are linear in three sums over sites, which the
// log keeps, so other couplings can be reached by reweighting.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "lattice/cursor.h"
#include "lattice/field_type.h"
#include "lattice/geometry.h"
#include "lattice/linear_action.h"
#include "lattice/observable.h"
#include "lattice/sums.h"
#include "spec/run_spec.h"

namespace flowloom {

class Phi4 {
 public:
  static constexpr FieldType kFieldType = FieldType::kScalar;

  // `section` is the [theory] of a run file after checking against `kind().keys`.
  explicit Phi4(const Section& section);
  static const Kind& kind();

  const Geometry& geometry() const { return geometry_; }
  static constexpr std::size_t components() { return 1; }

  // What is summed over sites and logged for each proposal, in this order; LocalDensities<Phi4> has the summands.
  static constexpr std::size_t kSums = 4;
  static const std::array<SumInfo, kSums>& sums();

  LinearAction<kSums, 3> action() const { return {{hopping_, square_, quartic_, 0}, constant_}; }

  // Functions of the sums whose chain averages the status and the final table show; the first is the default.
  std::vector<Observable> observables() const;

  // Its mean on this very lattice, where there is a formula (lattice/references.h): m: 0, by phi -> -phi.
  std::optional<double> exact(const std::string& observable) const;

 private:
  Geometry geometry_;
  double hopping_ = 0, square_ = 0, quartic_ = 0, constant_ = 0;  // the action's coefficients
};

#include "lattice/phi4.inl"

}  // namespace flowloom
