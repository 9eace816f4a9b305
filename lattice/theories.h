// The theories of this build. A new one: CONTRIBUTING.md, "Add a theory".
#pragma once

#include <variant>

#include "lattice/phi4.h"
#include "math/dual.h"
#include "math/elementary.h"

namespace flowloom {

using AnyTheory = std::variant<Phi4>;

// log_p of sample `i` from `sums` [sum][sample] of `count` samples; a NaN is the canonical one.
template <class Theory>
double log_target(const Theory& theory, std::span<const double> sums, std::size_t count, std::size_t i) {
  std::array<double, Theory::kSums> own;
  for (std::size_t k = 0; k < own.size(); ++k) own[k] = sums[k * count + i];
  return canonical(-theory.action(own));
}

// d(action)/d(sum) for each of the theory's sums. An action is linear in them, so that these are constants.
template <class Theory>
std::array<double, Theory::kSums> slopes_of_action(const Theory& theory) {
  std::array<double, Theory::kSums> slopes;
  for (std::size_t k = 0; k < slopes.size(); ++k) {
    std::array<Dual<double>, Theory::kSums> sums{};
    sums[k].slope = 1;
    slopes[k] = theory.action(sums).slope;
  }
  return slopes;
}

// The theory that a checked run file names.
AnyTheory make_theory(const Section& theory);

// The kinds of all theories, for the catalog.
std::vector<Kind> theory_kinds();

// The log's columns after log_p and log_q.
std::vector<SumInfo> theory_sums(const AnyTheory& theory);
std::vector<Observable> theory_observables(const AnyTheory& theory);
const Geometry& theory_geometry(const AnyTheory& theory);

// The observable of this name; an empty one stands for the first. Throws `kInvalidInput` with the names there are.
Observable find_observable(const AnyTheory& theory, const std::string& name);

}  // namespace flowloom
