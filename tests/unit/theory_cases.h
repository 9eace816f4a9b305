// Theories to test with, without a run around them.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lattice/hmc_action.h"
#include "lattice/theories.h"
#include "spec/document.h"

namespace flowloom {

// `keys`: what stands between the braces of `theory = { … }` in a run file.
inline AnyTheory theory_of_keys(const std::string& keys) {
  return make_theory(kind_section(Document::parse("theory = { " + keys + " }", "test.toml"), "theory", theory_kinds()));
}

inline std::string phi4_keys(const std::vector<std::int64_t>& lattice, const std::string& couplings) {
  return "kind = 'phi4', lattice = " + nlohmann::json(lattice).dump() + ", " + couplings;
}

inline std::string u1_keys(const std::vector<std::int64_t>& lattice, double beta) {
  return "kind = 'u1', lattice = " + nlohmann::json(lattice).dump() + ", beta = " + nlohmann::json(beta).dump();
}

// The observables of a configuration by their names.
inline std::map<std::string, double> observables_of(const AnyTheory& theory, const std::vector<double>& field) {
  std::map<std::string, double> values;
  const auto sums = theory_sums_of(theory, field);
  for (const Observable& observable : theory_observables(theory)) {
    values[observable.name] = observable.value(theory_log_p(theory, sums), sums);
  }
  return values;
}

inline std::unique_ptr<HmcAction> hmc_action(const AnyTheory& theory) {
  return std::visit(
      []<class Theory>(const Theory& t) -> std::unique_ptr<HmcAction> {
        return std::make_unique<TheoryAction<Theory>>(t);
      },
      theory);
}

}  // namespace flowloom
