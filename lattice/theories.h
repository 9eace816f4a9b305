// The theories of this build. A new one: CONTRIBUTING.md, "Add a theory".
#pragma once

#include <functional>
#include <variant>

#include "lattice/cursor.h"
#include "lattice/phi4.h"
#include "lattice/schwinger.h"
#include "lattice/su.h"
#include "lattice/u1.h"
#include "math/elementary.h"

namespace flowloom {

using AnyTheory = std::variant<Phi4, U1Gauge, Schwinger, Su2Gauge, Su3Gauge>;

// Real variables of one configuration, which lie as [component][site] wherever a configuration is a flat array.
template <class Theory>
std::size_t variables_of(const Theory& theory) {
  return theory.components() * theory.geometry().sites();
}

// log_p of sample `i` from `sums` [sum][sample] of `count` samples; a NaN is the canonical one.
template <class Theory>
double log_target(const Theory& theory, std::span<const double> sums, std::size_t count, std::size_t i) {
  std::array<double, Theory::kSums> own;
  for (std::size_t k = 0; k < own.size(); ++k) own[k] = sums[k * count + i];
  return canonical(-theory.action().of(own));
}

// The theory that a checked run file names.
AnyTheory make_theory(const Section& theory);

// The kinds of all theories, for the catalog.
std::vector<Kind> theory_kinds();

// The log's columns after log_p and log_q.
std::vector<SumInfo> theory_sums(const AnyTheory& theory);
std::vector<Observable> theory_observables(const AnyTheory& theory);
const Geometry& theory_geometry(const AnyTheory& theory);
std::size_t theory_variables(const AnyTheory& theory);

// N of a theory whose links are matrices of SU(N), else 1.
int theory_colours(const AnyTheory& theory);

// The shape of one configuration in a file: the lattice's extents, behind the number of components if there are
// several.
std::vector<std::int64_t> theory_shape(const AnyTheory& theory);

// In plain numbers, for references and tests (engines walk the lattice themselves): the sums of one configuration,
// log_p of sums, and dS/d(field); by links that are matrices as lattice/su.h says.
std::vector<double> theory_sums_of(const AnyTheory& theory, std::span<const double> field);
double theory_log_p(const AnyTheory& theory, std::span<const double> sums);
std::vector<double> theory_force(const AnyTheory& theory, std::span<const double> field);

// `theory_sums_of` for many configurations: its tables of neighbours are made once.
std::function<std::vector<double>(std::span<const double> field)> theory_sums_function(const AnyTheory& theory);

// The observable of this name; an empty one stands for the first. Throws `kInvalidInput` with the names there are.
Observable find_observable(const AnyTheory& theory, const std::string& name);

}  // namespace flowloom
