// Small logs to test the chain with: a run, units of pseudo-random numbers.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "chain/chain.h"
#include "chain/record.h"
#include "chain/store.h"
#include "lattice/theories.h"
#include "spec/document.h"
#include "spec/error.h"
#include "spec/run_spec.h"
#include "temporary_directory.h"

namespace flowloom {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A run that needs no flow: chains are made of numbers.
inline RunSpec chain_run(std::size_t unit = 8, std::int64_t seed = 1, const std::string& name = "test") {
  const Catalog catalog{theory_kinds(), {{"none", "No flow.", {}}}, {{"lanes", "An engine.", {}}}};
  const std::string text = "[run]\nname = \"" + name +
                           "\"\nengine = \"lanes\"\nprecision = \"float64\"\nseed = " + std::to_string(seed) +
                           "\nunit = " + std::to_string(unit) +
                           "\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -0.5\nlambda = 0.5\n"
                           "[flow]\nkind = \"none\"\n[chain]\nlength = 1000\n";
  return load_run(Document::parse(text, "test.toml"), catalog);
}

inline constexpr std::size_t kColumns = 4;  // of phi4

// Gaussian weights of width 0.5, plausible sums.
inline UnitData random_unit(const RunSpec& run, std::uint64_t number, std::uint32_t version = 1) {
  UnitData data{number * run.unit, version, {}, {}, std::vector<double>(kColumns * run.unit)};
  for (std::size_t k = 0; k < run.unit; ++k) {
    double z[2 + kColumns];
    fill_normal(NoiseKey::from("chain cases " + std::to_string(version)), Purpose::kBase, data.first_index + k, z);
    data.log_p.push_back(-0.5 * z[0] * z[0]);
    data.log_q.push_back(-0.5 * z[0] * z[0] + 0.5 * z[1]);
    for (std::size_t s = 0; s < kColumns; ++s) data.sums[s * run.unit + k] = 2.0 + z[2 + s];
  }
  return data;
}

// `units` units, with switches to versions 1, 2, 3, … at these units. The chain's own rule decides.
inline std::vector<Record> make_log(const RunSpec& run, std::uint64_t units,
                                    const std::vector<std::uint64_t>& switches) {
  Chain chain(run.noise_key());
  std::vector<Record> records;
  std::uint32_t version = 0;
  for (std::uint64_t unit = 0; unit < units; ++unit) {
    if (version < switches.size() && switches[version] == unit) {
      ++version;
      records.push_back(SwitchRecord{unit * run.unit, version, sha256("checkpoint " + std::to_string(version))});
      if (const auto& state = chain.current()) {
        const double log_q = state->log_q + 0.25;
        records.push_back(ReweighRecord{state->index, version, log_q});
        chain.reweigh(log_q);
      }
    }
    UnitData data = random_unit(run, unit, version);
    auto accepted = chain.advance(data);
    records.push_back(UnitRecord{std::move(data), std::move(accepted)});
  }
  return records;
}

}  // namespace flowloom
