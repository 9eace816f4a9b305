#include "lattice/schwinger.h"

#include <algorithm>
#include <string>

#include "spec/error.h"

namespace flowloom {
namespace {

Wilson2d wilson_of(const Section& section) {
  const std::vector<std::int64_t> extents = section.integers("lattice");
  return Wilson2d(static_cast<std::size_t>(extents[0]), static_cast<std::size_t>(extents[1]),
                  1 / (2 * section.real("kappa")) - 2);
}

std::vector<Key> schwinger_keys() {
  std::vector<Key> keys = U1Gauge::kind().keys;
  keys.push_back(
      {.name = "kappa",
       .type = KeyType::kReal,
       .sentence = "The hopping parameter 1 / (2 m + 4): 0.25 is the bare mass m = 0, more is less than that.",
       .required = true,
       .min = 1e-6,
       .max = 0.33});
  return keys;
}

void check_lattice(const RunSpec& run) {
  try {
    wilson_of(run.theory);
  } catch (const Error& error) {
    throw Error(error.code(), run.theory.where("lattice") + ": " + error.what());
  }
}

}  // namespace

const Kind& Schwinger::kind() {
  static const Kind kKind{
      .name = "schwinger",
      .sentence =
          "The Schwinger model: U(1) gauge theory in two dimensions with two degenerate flavours of Wilson "
          "fermions, antiperiodic in time, on up to 64 sites in space: S = -beta sum cos P - 2 log|det D|.",
      .keys = schwinger_keys(),
      .check = check_lattice,
  };
  return kKind;
}

Schwinger::Schwinger(const Section& section) : gauge_(section), wilson_(wilson_of(section)) {}

const std::array<SumInfo, Schwinger::kSums>& Schwinger::sums() {
  static const std::array<SumInfo, kSums> kInfos = [] {
    std::array<SumInfo, kSums> infos;
    std::ranges::copy(U1Gauge::sums(), infos.begin());
    infos.back() = {"log_det", "log|det D| of one flavour"};
    return infos;
  }();
  return kInfos;
}

LinearAction<Schwinger::kSums> Schwinger::action() const {
  LinearAction<kSums> action{};
  std::ranges::copy(gauge_.action().slopes, action.slopes.begin());
  action.slopes.back() = -2;
  return action;
}

std::vector<Observable> Schwinger::observables() const {
  std::vector<Observable> observables = gauge_.observables();
  observables.push_back(
      {"log_det", "⟨ln|det D|⟩", "log|det D| of one flavour", [](double, SumsOf s) { return s[kSums - 1]; }});
  return observables;
}

std::optional<double> Schwinger::exact(const std::string& observable) const {
  if (observable == "charge") return 0;
  return {};
}

}  // namespace flowloom
