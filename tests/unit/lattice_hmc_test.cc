#include "lattice/hmc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "support.h"
#include "theory_cases.h"

namespace flowloom {
namespace {

using Field = std::vector<double>;

Field noise_field(std::uint64_t number, std::size_t size) {
  Field field(size);
  fill_normal(NoiseKey::from("hmc"), Purpose::kReferenceChain, number, field);
  return field;
}

struct Case {
  std::string name, theory;
  std::unique_ptr<HmcAction> make() const { return hmc_action(theory_of_keys(theory)); }
};

const std::vector<Case> kCases = {
    {"phi4 A 4 x 6", phi4_keys({4, 6}, "m2 = -4.0, lambda = 8.0")},
    {"phi4 A 5", phi4_keys({5}, "m2 = 0.5, lambda = 0.0")},
    {"phi4 B 2 x 3 x 4", phi4_keys({2, 3, 4}, "form = 'B', beta = 0.4, lambda = 0.5")},
    {"phi4 B 2^4", phi4_keys({2, 2, 2, 2}, "form = 'B', beta = 0.2, lambda = 1.1")},
    {"U(1) 4 x 6", u1_keys({4, 6}, 3)},
    {"U(1) 5 x 4", u1_keys({5, 4}, 0.9)},
};

std::unique_ptr<HmcAction> phi4(const std::vector<std::int64_t>& lattice, const std::string& couplings) {
  return hmc_action(theory_of_keys(phi4_keys(lattice, couplings)));
}

TEST(HmcAction, SlopesAreFiniteDifferences) {
  constexpr double kStep = 1e-4;
  for (const Case& each : kCases) {
    const auto action = each.make();
    Field field = noise_field(1, action->variables()), slopes(field.size(), 7.0);
    action->slopes(field, slopes);
    for (std::size_t k = 0; k < field.size(); ++k) {
      const double at = field[k];
      const auto value = [&](double by) {
        field[k] = at + by * kStep;
        return action->action(field);
      };
      const double slope = (value(-2) - 8 * value(-1) + 8 * value(1) - value(2)) / (12 * kStep);
      field[k] = at;
      EXPECT_NEAR(slopes[k], slope, 1e-8 * (1 + std::abs(slope))) << each.name << " " << k;
    }
  }
}

// Though it computes no more than the sums that it consists of.
TEST(HmcAction, IsMinusTheLogsLogP) {
  for (const Case& each : kCases) {
    const AnyTheory theory = theory_of_keys(each.theory);
    const Field field = noise_field(2, theory_variables(theory));
    const double log_p = theory_log_p(theory, theory_sums_of(theory, field));
    EXPECT_NEAR(each.make()->action(field), -log_p, 1e-12 * (1 + std::abs(log_p))) << each.name;
  }
}

TEST(Integrate, BackwardsItComesBack) {
  for (const Case& each : kCases) {
    for (const Integrator integrator : {Integrator::kLeapfrog, Integrator::kOmelyan}) {
      const auto action = each.make();
      const Field start = noise_field(5, action->variables());
      Field field = start, momenta = noise_field(6, field.size());
      const Field kicks = momenta;
      integrate(*action, integrator, 1, 25, field, momenta);
      EXPECT_GT(std::abs(field[0] - start[0]), 1e-3);
      for (double& pi : momenta) pi = -pi;
      integrate(*action, integrator, 1, 25, field, momenta);
      for (std::size_t k = 0; k < field.size(); ++k) {
        EXPECT_NEAR(field[k], start[k], 1e-10) << each.name;
        EXPECT_NEAR(momenta[k], -kicks[k], 1e-10) << each.name;
      }
    }
  }
}

double delta_h(const HmcAction& action, Integrator integrator, int steps, std::uint64_t start = 7) {
  Field field = noise_field(start, action.variables()), momenta = noise_field(start + 1, field.size());
  const double before = hamiltonian(action, field, momenta);
  integrate(action, integrator, 1, steps, field, momenta);
  return hamiltonian(action, field, momenta) - before;
}

TEST(Integrate, BothMissHByTheSquareOfTheStep) {
  for (const Case& each : kCases) {
    const auto action = each.make();
    for (const Integrator integrator : {Integrator::kLeapfrog, Integrator::kOmelyan}) {
      const double coarse = delta_h(*action, integrator, 200), fine = delta_h(*action, integrator, 400);
      EXPECT_GT(std::abs(coarse), 1e-9) << each.name;
      EXPECT_NEAR(coarse / fine, 4, 0.1) << each.name;
    }
  }
}

// Its coefficient of eps^2 is some ten times smaller, for two evaluations of the slopes instead of one.
TEST(Integrate, OmelyanMissesHByLess) {
  for (const Case& each : kCases) {
    const auto action = each.make();
    double leapfrog = 0, omelyan = 0;
    for (std::uint64_t start = 100; start < 120; ++start) {
      leapfrog += std::abs(delta_h(*action, Integrator::kLeapfrog, 40, start));
      omelyan += std::abs(delta_h(*action, Integrator::kOmelyan, 40, start));
    }
    EXPECT_LT(omelyan, 0.25 * leapfrog) << each.name;
  }
}

// Of oscillators H = 1/2 pi^2 + phi^2 (hopping beta = 0, lambda = 0) one step by hand.
TEST(Integrate, OneStepIsTheOneOfTheBook) {
  const auto action = phi4({2}, "form = 'B', beta = 0.0, lambda = 0.0");
  Field field{0.7, 0}, momenta{0.2, 0};
  integrate(*action, Integrator::kLeapfrog, 0.3, 1, field, momenta);
  const double half = 0.2 - 0.15 * 1.4, end = 0.7 + 0.3 * half;
  EXPECT_NEAR(field[0], end, 1e-15);
  EXPECT_NEAR(momenta[0], half - 0.15 * 2 * end, 1e-15);
  EXPECT_EQ(field[1], 0);

  field = {0.7, 0}, momenta = {0.2, 0};
  integrate(*action, Integrator::kOmelyan, 0.3, 1, field, momenta);
  constexpr double kLambda = 0.1931833275037836;
  const double first = 0.2 - kLambda * 0.3 * 1.4, middle = 0.7 + 0.15 * first;
  const double second = first - (1 - 2 * kLambda) * 0.3 * 2 * middle, last = middle + 0.15 * second;
  EXPECT_NEAR(field[0], last, 1e-15);
  EXPECT_NEAR(momenta[0], second - kLambda * 0.3 * 2 * last, 1e-15);
}

NoiseKey key_of_test() { return NoiseKey::from("chain"); }

TEST(Hmc, ARejectionLeavesTheFieldWhereItWas) {
  // Steps that are too long for the quartic term: most trajectories end far off.
  Hmc hmc(phi4({4, 4}, "m2 = -4.0, lambda = 8.0"), {.length = 1, .steps = 4}, key_of_test());
  int accepted = 0, rejected = 0;
  for (int i = 0; i < 400; ++i) {
    const Field before(hmc.field().begin(), hmc.field().end());
    const Hmc::Trajectory end = hmc.trajectory();
    const bool moved = !std::equal(before.begin(), before.end(), hmc.field().begin());
    EXPECT_EQ(moved, end.accepted);
    EXPECT_TRUE(end.accepted || !(end.delta_h <= 0));
    ++(end.accepted ? accepted : rejected);
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(rejected, 20);
}

TEST(Hmc, WhatRunsAwayIsRejected) {
  Hmc hmc(phi4({4, 4}, "m2 = -4.0, lambda = 8.0"), {.length = 40, .steps = 10}, key_of_test());
  for (int i = 0; i < 10; ++i) {
    const Hmc::Trajectory end = hmc.trajectory();
    EXPECT_FALSE(std::isfinite(end.delta_h));
    EXPECT_FALSE(end.accepted);
  }
  for (const double phi : hmc.field()) EXPECT_EQ(phi, 0);
}

TEST(Hmc, TheKeyDecidesTheChain) {
  const auto run = [](const std::string& key) {
    Hmc hmc(hmc_action(theory_of_keys(u1_keys({4, 4}, 2))), {}, NoiseKey::from(key));
    hmc.thermalise(40);
    for (int i = 0; i < 5; ++i) hmc.trajectory();
    return Field(hmc.field().begin(), hmc.field().end());
  };
  EXPECT_EQ(run("a"), run("a"));
  EXPECT_NE(run("a"), run("b"));
}

// From far too many steps, and from so few that everything is rejected.
TEST(Hmc, ThermalisingFindsTheNumberOfStepsAndFreezesIt) {
  for (const int first : {1, 200}) {
    for (const Integrator integrator : {Integrator::kLeapfrog, Integrator::kOmelyan}) {
      Hmc hmc(phi4({12, 12}, "m2 = -4.0, lambda = 6.0"), {.length = 1, .steps = first, .integrator = integrator},
              key_of_test());
      hmc.thermalise(200);
      const int steps = hmc.steps();
      EXPECT_NE(steps, first);
      int accepted = 0;
      for (int i = 0; i < 1000; ++i) accepted += hmc.trajectory().accepted;
      EXPECT_GT(accepted, 840) << steps << " steps";
      EXPECT_LT(accepted, 990) << steps << " steps";
      EXPECT_EQ(hmc.steps(), steps);
    }
  }
}

TEST(Hmc, RefusesTrajectoriesThatAreNone) {
  const auto refusal = [](HmcOptions options) {
    return sentence_of([&] { Hmc(phi4({4}, "m2 = 1.0, lambda = 0.0"), options, {}); });
  };
  EXPECT_EQ(refusal({.length = 0}), "A trajectory of HMC needs a finite length above 0, not 0.000000.");
  EXPECT_EQ(refusal({.steps = 0}), "A trajectory of HMC has 1 to 10000 steps, not 0.");
  EXPECT_EQ(refusal({}), "");
}

}  // namespace
}  // namespace flowloom
