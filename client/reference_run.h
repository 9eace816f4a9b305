// `flowloom reference`: the target of a run file by plain MCMC, which knows nothing of flows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "client/console.h"

namespace flowloom {

struct ReferenceOptions {
  std::filesystem::path run_file;
  std::vector<std::string> overrides;
  std::string algorithm = "auto";           // lattice/references.h
  std::optional<std::uint64_t> sweeps;      // else `kReferenceUpdates` of the variables, 10^4 to 10^6 sweeps
  std::optional<std::uint64_t> thermalise;  // else a tenth of the sweeps
  std::uint64_t seed = 1;                   // another one, another chain
  bool measure = false;                     // also what takes a configuration (lattice/measurements.h)
  bool json = false;
  std::filesystem::path output;  // a CSV of the observables after each sweep; empty: none
};

inline constexpr std::uint64_t kReferenceUpdates = 64'000'000;

// Prints progress to a terminal on `err`, the result to `out`. SIGINT ends the sweeps and prints what there is (130);
// before the first measurement, and a second time, it ends the process. The chain is a function of the run's identity,
// the algorithm, the seed, and the numbers of sweeps to thermalise.
int reference(const ReferenceOptions& options, const Console& console);

}  // namespace flowloom
