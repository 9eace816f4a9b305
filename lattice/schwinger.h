// The Schwinger model in two dimensions: U(1) links (lattice/u1.h) with two degenerate flavours of Wilson fermions
// (lattice/wilson_2d.h; arXiv:2202.11712).
//
//   S = -beta sum_x cos P(x) - 2 log|det D|,   kappa = 1 / (2 m + 4)
//
// Fermions are antiperiodic in time, direction 1; links are periodic. Everything that U1Gauge logs and observes stands
// first, so that both theories have the same columns and names.
//
// What needs D^-1 is not logged: the condensate comes with the slopes, which take 3.6 times as long as log|det D| alone
// and would make drawing slower by 29 % on 8x8 and by 62 % on 16x16 (16 layers, hidden 8,8). lattice/measurements.h has
// it and the pion's correlator.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lattice/u1.h"
#include "lattice/wilson_2d.h"

namespace flowloom {

class Schwinger {
 public:
  static constexpr FieldType kFieldType = U1Gauge::kFieldType;

  // `section` is the [theory] of a run file after checking against `kind()`.
  explicit Schwinger(const Section& section);
  static const Kind& kind();

  const Geometry& geometry() const { return gauge_.geometry(); }
  static constexpr std::size_t components() { return U1Gauge::components(); }
  const Wilson2d& wilson() const { return wilson_; }  // one flavour's

  // Those of U1Gauge, and log|det D|.
  static constexpr std::size_t kSums = U1Gauge::kSums + 1;
  static const std::array<SumInfo, kSums>& sums();

  LinearAction<kSums> action() const;

  // Functions of the sums whose chain averages the status and the final table show; the first is the default.
  std::vector<Observable> observables() const;

  // Its mean on this very lattice, where there is a formula (lattice/references.h): charge: 0, by theta -> -theta.
  std::optional<double> exact(const std::string& observable) const;

 private:
  U1Gauge gauge_;
  Wilson2d wilson_;
};

#include "lattice/schwinger.inl"

}  // namespace flowloom
