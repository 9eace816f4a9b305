// Whether a state of the training may become a version: what draws at the gate's noise addresses show decides, never
// the log, the chain or an evaluation (docs/exactness.md, rule 5).
//
// A state passes if its references are finite and reproduced by the reference engine, if the flow inverts its own
// draws, and if its ESS is not below that of the best version published so far by more than [train] gate_margin: that
// of the serving version is none larger. All ESS are of the same noise.
//
// Pure functions.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string>

#include "flow/checkpoint.h"
#include "spec/run_spec.h"

namespace flowloom {

inline constexpr std::size_t kGateDraws = 4096;  // at (the run's key, purpose gate, 0 .. kGateDraws - 1)

struct GateFigures {
  double ess = 0;         // an invalid draw counts as weight zero
  double round_trip = 0;  // the largest of the valid draws; NaN if one of them has none
  double largest_log_w = -std::numeric_limits<double>::infinity();  // of the valid draws
};

// A state on its way to become a version.
struct Candidate {
  Checkpoint checkpoint;  // without references if `unreproduced` says why
  GateFigures gate;
  std::string unreproduced;
};

// Adds up draws and what their inverse found.
void add_gate_draws(GateFigures& figures, std::span<const double> log_w, std::span<const double> round_trip);

// Why `candidate` is not published; "" if it is. `best_ess`: the largest of the gate's of the versions
// published so far; NaN: there is none.
std::string gate_refusal(const RunSpec& run, const Candidate& candidate, double best_ess);

}  // namespace flowloom
