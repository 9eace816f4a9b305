#include "server/gate.h"

#include <gtest/gtest.h>

#include "server_fakes.h"

namespace flowloom {
namespace {

const double kNone = std::nan("");

GateFigures figures(double ess, double round_trip = 0) { return {.ess = ess, .round_trip = round_trip}; }

std::string refusal(const GateFigures& gate, double best_ess, const std::string& unreproduced = "") {
  const RunSpec run = training_run("gate_margin = 0.2\n");  // in mixed precision
  Candidate candidate{.checkpoint{}, .gate = gate, .unreproduced = unreproduced};
  candidate.checkpoint.training_step = 30;
  return gate_refusal(run, candidate, best_ess);
}

TEST(ExactnessRule5, TheGateComparesTheEssWithThatOfTheBestVersionSoFar) {
  EXPECT_EQ(refusal(figures(0.001), kNone), "") << "the first version has none before it";
  EXPECT_EQ(refusal(figures(0.41), 0.5), "");
  EXPECT_EQ(
      refusal(figures(0.39), 0.5),
      "The flow after 30 training steps is kept and not published: its ESS on the gate's draws is 0.39, that of the "
      "best version so far 0.5, and [train] gate_margin = 0.2 allows no such loss. Lower [train] learning_rate.");
}

TEST(ExactnessRule5, TheGateRefusesAFlowThatDoesNotInvertItsOwnDraws) {
  EXPECT_EQ(refusal(figures(0.5, 1e-5), 0.5), "");
  EXPECT_EQ(
      refusal(figures(0.5, 2e-5), 0.5),
      "The flow after 30 training steps is kept and not published: its inverse misses a draw of its own by 2e-05, "
      "allowed is 1e-05. Lower [train] learning_rate or clip.");
  EXPECT_NE(refusal(figures(0.5, kNone), 0.5), "");
}

TEST(ExactnessRule5, TheGateRefusesReferencesThatAreNotFiniteOrNotReproduced) {
  EXPECT_EQ(refusal(figures(0.5), kNone, "They differ."),
            "The flow after 30 training steps is kept and not published: They differ.");
}

TEST(Gate, LooksAtValidDrawsOnlyForInverseAndThreshold) {
  GateFigures gate;
  add_gate_draws(gate, std::vector{1.0, HUGE_VAL, kNone, -HUGE_VAL}, std::vector{1e-12, 1.0, kNone, 1.0});
  EXPECT_EQ(gate.largest_log_w, 1.0);
  EXPECT_EQ(gate.round_trip, 1e-12);
  add_gate_draws(gate, std::vector{3.0, 2.0, 0.0}, std::vector{0.0, kNone, 5.0});
  EXPECT_EQ(gate.largest_log_w, 3.0);
  EXPECT_FALSE(gate.round_trip <= 1) << "a valid draw without an inverse";
}

}  // namespace
}  // namespace flowloom
