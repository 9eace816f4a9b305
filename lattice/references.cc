#include "lattice/references.h"

#include <algorithm>
#include <functional>

#include "lattice/exact_2d.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Algorithm {
  std::string name;
  std::function<std::unique_ptr<ReferenceChain>(NoiseKey)> make;
};

template <class Theory>
Algorithm hmc(const Theory& theory) {
  static_assert(Theory::kFieldType == FieldType::kScalar || Theory::kFieldType == FieldType::kAngle,
                "its variables must be coordinates in which the measure is flat");
  return {"hmc", [=](NoiseKey key) {
            return hmc_reference(std::make_unique<TheoryAction<Theory>>(theory), Theory::kFieldType, {}, key);
          }};
}

template <class Theory>
std::vector<Algorithm> algorithms(const Theory& theory) {
  return {hmc(theory)};
}

std::vector<Algorithm> algorithms(const U1Gauge& theory) {
  constexpr std::size_t kOverrelaxations = 1;
  return {{"heatbath",
           [=](NoiseKey key) {
             return heat_bath_reference(1, GaugeLattice(theory.geometry()), theory.beta(), kOverrelaxations, key);
           }},
          hmc(theory)};
}

template <int N>
std::vector<Algorithm> algorithms(const SuGauge<N>& theory) {
  constexpr std::size_t kOverrelaxations = 1;
  return {{"heatbath", [=](NoiseKey key) {
             return heat_bath_reference(N, GaugeLattice(theory.geometry()), theory.beta(), kOverrelaxations, key);
           }}};
}

std::optional<double> exact(const Phi4&, const std::string& observable) {
  if (observable == "m") return 0;
  return {};
}

// What pure gauge theories in two dimensions have in common.
std::optional<double> exact_of_loops(const Geometry& geometry, double beta, Exact2d (*group)(double),
                                     const std::string& observable) {
  if (observable == "polyakov") return 0;
  if (beta > 50 || geometry.dimensions() != 2) return {};
  const auto& extents = geometry.extents();
  const auto plaquettes = static_cast<std::int64_t>(geometry.sites());
  // Both orientations, for the log has their average.
  const auto loop = [&](std::int64_t a, std::int64_t b) -> std::optional<double> {
    if (std::max(a, b) >= std::min(extents[0], extents[1])) return {};
    return group(beta).wilson_loop(a * b, plaquettes);
  };
  if (observable == "plaquette") return loop(1, 1);
  if (observable == "wilson_1x2") return loop(1, 2);
  if (observable == "wilson_2x2") return loop(2, 2);
  if (observable == "wilson_3x3") return loop(3, 3);
  if (observable == "action") {
    return -beta * static_cast<double>(plaquettes) * group(beta).average_plaquette(plaquettes);
  }
  return {};
}

std::optional<double> exact(const U1Gauge& theory, const std::string& observable) {
  if (observable == "charge") return 0;
  if (observable == "chi_q" && theory.beta() <= 50) {
    return u1_susceptibility(theory.beta(), static_cast<std::int64_t>(theory.geometry().sites()));
  }
  return exact_of_loops(theory.geometry(), theory.beta(), Exact2d::u1, observable);
}

template <int N>
std::optional<double> exact(const SuGauge<N>& theory, const std::string& observable) {
  return exact_of_loops(theory.geometry(), theory.beta(), N == 2 ? Exact2d::su2 : Exact2d::su3, observable);
}

std::optional<double> exact(const Schwinger&, const std::string& observable) {
  if (observable == "charge") return 0;
  return {};
}

std::vector<Algorithm> algorithms_of(const AnyTheory& theory) {
  return std::visit([](const auto& t) { return algorithms(t); }, theory);
}

}  // namespace

std::vector<std::string> reference_algorithms(const AnyTheory& theory) {
  std::vector<std::string> names;
  for (const Algorithm& algorithm : algorithms_of(theory)) names.push_back(algorithm.name);
  return names;
}

std::unique_ptr<ReferenceChain> make_reference(const AnyTheory& theory, const std::string& algorithm, NoiseKey key) {
  for (const Algorithm& each : algorithms_of(theory)) {
    if (algorithm == "auto" || algorithm == each.name) return each.make(key);
  }
  throw Error(ErrorCode::kInvalidInput, "This theory has no reference by '" + algorithm + "'; it has " +
                                            join_or(reference_algorithms(theory)) + ".");
}

std::optional<double> exact_value(const AnyTheory& theory, const std::string& observable) {
  return std::visit([&](const auto& t) { return exact(t, observable); }, theory);
}

}  // namespace flowloom
