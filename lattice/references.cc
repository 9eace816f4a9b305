#include "lattice/references.h"

#include <functional>

#include "spec/error.h"

namespace flowloom {
namespace {

struct Algorithm {
  std::string name;
  std::function<std::unique_ptr<ReferenceChain>(NoiseKey)> make;
};

// Whether its variables are coordinates in which the measure is flat.
template <class Theory>
constexpr bool kHasHmc = Theory::kFieldType == FieldType::kScalar || Theory::kFieldType == FieldType::kAngle;

template <class Theory>
  requires kHasHmc<Theory>
Algorithm hmc(const Theory& theory) {
  return {"hmc", [=](NoiseKey key) {
            return hmc_reference(std::make_unique<TheoryAction<Theory>>(theory), Theory::kFieldType, {}, key);
          }};
}

template <class Theory>
std::vector<Algorithm> algorithms(const Theory& theory) {
  if constexpr (kHasHmc<Theory>) {
    return {hmc(theory)};
  } else {
    return {};
  }
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
  const std::vector<std::string> names = reference_algorithms(theory);
  throw Error(ErrorCode::kInvalidInput, "This theory has no reference by '" + algorithm + "'; it has " +
                                            (names.empty() ? "none" : join_or(names)) + ".");
}

std::optional<double> exact_value(const AnyTheory& theory, const std::string& observable) {
  return std::visit(
      [&](const auto& t) -> std::optional<double> {
        if constexpr (requires { t.exact(observable); }) {
          return t.exact(observable);
        } else {
          return {};
        }
      },
      theory);
}

}  // namespace flowloom
