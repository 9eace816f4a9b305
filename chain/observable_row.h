// A quantity as tables show it: its mean over a Markov chain with the Gamma method's error, and its exact value if
// there is one. Pure.
#pragma once

#include <limits>
#include <optional>
#include <span>

#include "lattice/theories.h"
#include "stats/gamma_method.h"

namespace flowloom {

struct ObservableRow {
  Quantity quantity;
  bool defined = false;  // false: fewer than two states, or a value that is not finite
  stats::GammaEstimate estimate = {};
  std::optional<double> exact = {};  // lattice/references.h

  // (value - exact) / error; NaN without an exact value, and where the error is 0.
  double deviation() const {
    if (!defined || !exact || !(estimate.error > 0)) return std::numeric_limits<double>::quiet_NaN();
    return (estimate.value - *exact) / estimate.error;
  }
};

// `series`: the quantity's value after each step of the chain.
ObservableRow observable_row(const AnyTheory& theory, const Quantity& quantity, std::span<const double> series);

}  // namespace flowloom
