#include "server/gate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace flowloom {
namespace {

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

void add_gate_draws(GateFigures& figures, std::span<const double> log_w, std::span<const double> round_trip) {
  for (std::size_t i = 0; i < log_w.size(); ++i) {
    if (!std::isfinite(log_w[i])) continue;  // it is never the chain's state, so nobody inverts it
    figures.largest_log_w = std::max(figures.largest_log_w, log_w[i]);
    const bool larger = !(round_trip[i] <= figures.round_trip);
    if (larger && !std::isnan(figures.round_trip)) figures.round_trip = round_trip[i];
  }
}

std::string gate_refusal(const RunSpec& run, const Candidate& candidate, double best_ess) {
  const std::string begin = "The flow after " + std::to_string(candidate.checkpoint.training_step) +
                            " training steps is kept and not published: ";
  if (!candidate.unreproduced.empty()) return begin + candidate.unreproduced;
  const GateFigures& gate = candidate.gate;
  if (const double limit = round_trip_limit(run.numerics.precision); !(gate.round_trip <= limit)) {
    return begin + "its inverse misses a draw of its own by " + text_of(gate.round_trip) + ", allowed is " +
           text_of(limit) + ". Lower [train] learning_rate or clip.";
  }
  if (gate.ess < (1 - run.train.gate_margin) * best_ess) {
    return begin + "its ESS on the gate's draws is " + text_of(gate.ess) + ", that of the best version so far " +
           text_of(best_ess) + ", and [train] gate_margin = " + text_of(run.train.gate_margin) +
           " allows no such loss. Lower [train] learning_rate.";
  }
  return "";
}

}  // namespace flowloom
