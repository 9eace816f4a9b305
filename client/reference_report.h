// What `flowloom reference` prints. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chain/observable_row.h"

namespace flowloom {

struct ReferenceReport {
  std::string name;       // the run's
  std::string algorithm;  // ReferenceChain::algorithm
  double acceptance = 1;
  std::uint64_t sweeps = 0;       // measured
  std::uint64_t wanted = 0;       // more than `sweeps` if it was stopped
  std::uint64_t thermalised = 0;  // sweeps before the first measured one
  std::uint64_t seed = 0;
  double seconds = 0;  // of the measured sweeps
  std::vector<ObservableRow> rows;
};

std::vector<std::string> reference_lines(const ReferenceReport& report);
nlohmann::json reference_json(const ReferenceReport& report);

// One line of at most 79 columns while it runs: "phi4-8x8, no flow: 20000 of 1000000 sweeps, 61.2 k per second, ETA 16
// s".
std::string reference_progress(const std::string& name, std::uint64_t sweeps, std::uint64_t wanted, double seconds);

}  // namespace flowloom
