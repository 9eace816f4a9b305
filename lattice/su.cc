#include "lattice/su.h"

#include <cmath>
#include <string>

#include "lattice/exact_2d.h"

namespace flowloom {

template <int N>
const Kind& SuGauge<N>::kind() {
  static const std::string kGroup = "SU(" + std::to_string(N) + ")", kN = std::to_string(N);
  static const Kind kKind{
      .name = "su" + kN,
      .sentence = kGroup + " gauge theory in two dimensions: S = -(beta/" + kN + ") sum Re tr P over all plaquettes.",
      .keys = {{.name = "lattice",
                .type = KeyType::kIntegers,
                .sentence = "Extents in sites, periodic; the last is time.",
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

template <int N>
SuGauge<N>::SuGauge(const Section& section) : geometry_(section.integers("lattice")), beta_(section.real("beta")) {}

template <int N>
const std::array<SumInfo, SuGauge<N>::kSums>& SuGauge<N>::sums() {
  static const auto kInfos = [] {
    const std::string n = std::to_string(N);
    std::array<SumInfo, kSums> infos{{
        {"plaquette_sum", "sum over x and planes of Re tr P(x) / " + n},
        {"wilson_1x2_sum",
         "sum over x and planes of Re tr / " + n + " of the 1x2 loop, averaged over both orientations"},
        {"wilson_2x2_sum", "sum over x and planes of Re tr / " + n + " of the 2x2 loop"},
        {"wilson_3x3_sum", "sum over x and planes of Re tr / " + n + " of the 3x3 loop"},
        {"polyakov_re", "sum over space of Re tr / " + n + " of the Polyakov loop"},
    }};
    if constexpr (N > 2) infos[5] = {"polyakov_im", "sum over space of Im tr / " + n + " of the Polyakov loop"};
    return infos;
  }();
  return kInfos;
}

template <int N>
std::vector<Observable> SuGauge<N>::observables() const {
  const auto dimensions = static_cast<double>(geometry_.dimensions());
  const auto sites = static_cast<double>(geometry_.sites());
  const double plaquettes = sites * dimensions * (dimensions - 1) / 2;
  const double space = sites / static_cast<double>(geometry_.extents().back());
  const std::string n = std::to_string(N);
  using Sums = SumsOf;
  return {
      {"plaquette", "⟨tr P⟩/" + n, "mean of Re tr P / " + n, [=](double, Sums s) { return s[0] / plaquettes; }},
      {"wilson_1x2", "W₁ₓ₂", "1x2 Wilson loop, Re tr / " + n, [=](double, Sums s) { return s[1] / plaquettes; }},
      {"wilson_2x2", "W₂ₓ₂", "2x2 Wilson loop, Re tr / " + n, [=](double, Sums s) { return s[2] / plaquettes; }},
      {"wilson_3x3", "W₃ₓ₃", "3x3 Wilson loop, Re tr / " + n, [=](double, Sums s) { return s[3] / plaquettes; }},
      {"abs_polyakov", "⟨|P|⟩", "|mean over space of tr / " + n + " of the Polyakov loop|",
       [=](double, Sums s) {
         if constexpr (N == 2) {
           return std::abs(s[4]) / space;
         } else {
           return std::hypot(s[4], s[5]) / space;
         }
       }},
      {"polyakov", "⟨Re P⟩", "mean over space of Re tr / " + n + " of the Polyakov loop",
       [=](double, Sums s) { return s[4] / space; }},
      {"action", "⟨S⟩", "the action", [](double log_p, Sums) { return -log_p; }},
  };
}
template <int N>
std::optional<double> SuGauge<N>::exact(const std::string& observable) const {
  return exact_pure_gauge(geometry_, beta_, N == 2 ? Exact2d::su2 : Exact2d::su3, observable);
}

template class SuGauge<2>;
template class SuGauge<3>;

}  // namespace flowloom
