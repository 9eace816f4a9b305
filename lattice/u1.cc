#include "lattice/u1.h"

#include <cmath>

#include "lattice/exact_2d.h"
#include "math/elementary.h"
#include "spec/error.h"

namespace flowloom {

const Kind& U1Gauge::kind() {
  static const Kind kKind{
      .name = "u1",
      .sentence = "U(1) gauge theory in two dimensions: S = -beta sum cos P over all plaquettes.",
      .keys = {{.name = "lattice",
                .type = KeyType::kIntegers,
                .sentence = "Extents in sites, periodic; the second is time.",
                .required = true,
                .min = 4,
                .max = 4096,
                .min_size = 2,
                .max_size = 2},
               {.name = "beta",
                .type = KeyType::kReal,
                .sentence = "The inverse coupling.",
                .required = true,
                .min = 0,
                .max = 1e6}},
      .check = {},
  };
  return kKind;
}

U1Gauge::U1Gauge(const Section& section) : geometry_(section.integers("lattice")), beta_(section.real("beta")) {}

const std::array<SumInfo, U1Gauge::kSums>& U1Gauge::sums() {
  static const std::array<SumInfo, kSums> kInfos{{
      {"plaquette_sum", "sum over x of cos P(x)"},
      {"charge", "topological charge Q = (1/2 pi) sum over x of P(x) wrapped to [-pi, pi), exactly an integer"},
      {"wilson_1x2_sum", "sum over x of the cosine of the 1x2 loop's angle, averaged over both orientations"},
      {"wilson_2x2_sum", "sum over x of the cosine of the 2x2 loop's angle"},
      {"wilson_3x3_sum", "sum over x of the cosine of the 3x3 loop's angle"},
      {"polyakov_re", "sum over space of the real part of the Polyakov loop"},
      {"polyakov_im", "sum over space of the imaginary part of the Polyakov loop"},
  }};
  return kInfos;
}

std::vector<Observable> U1Gauge::observables() const {
  const double volume = static_cast<double>(geometry_.sites());
  const double space = static_cast<double>(geometry_.extents()[0]);
  using Sums = SumsOf;
  return {
      {"plaquette", "⟨cos P⟩", "(1/V) sum cos P", [=](double, Sums s) { return s[0] / volume; }},
      {"chi_q", "χ_Q", "Q^2 / V, the topological susceptibility", [=](double, Sums s) { return s[1] * s[1] / volume; }},
      {"charge", "⟨Q⟩", "the topological charge", [](double, Sums s) { return s[1]; }},
      {"wilson_1x2", "W₁ₓ₂", "1x2 Wilson loop", [=](double, Sums s) { return s[2] / volume; }},
      {"wilson_2x2", "W₂ₓ₂", "2x2 Wilson loop", [=](double, Sums s) { return s[3] / volume; }},
      {"wilson_3x3", "W₃ₓ₃", "3x3 Wilson loop", [=](double, Sums s) { return s[4] / volume; }},
      {"abs_polyakov", "⟨|P|⟩", "|(1/L) sum over space of the Polyakov loop|",
       [=](double, Sums s) { return std::hypot(s[5], s[6]) / space; }},
      {"polyakov", "⟨Re P⟩", "(1/L) sum over space of the real part of the Polyakov loop",
       [=](double, Sums s) { return s[5] / space; }},
      {"action", "⟨S⟩", "the action", [](double log_p, Sums) { return -log_p; }},
  };
}

std::optional<double> U1Gauge::exact(const std::string& observable) const {
  if (observable == "charge") return 0;
  if (observable == "chi_q" && beta_ <= Exact2d::kMaxBeta) {
    return u1_susceptibility(beta_, static_cast<std::int64_t>(geometry_.sites()));
  }
  auto value = exact_pure_gauge(geometry_, beta_, Exact2d::u1, observable);
  if (value && observable == kLogZ) *value += static_cast<double>(components() * geometry_.sites()) * std::log(kTwoPi);
  return value;
}

}  // namespace flowloom
