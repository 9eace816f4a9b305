#include "lattice/hmc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "support.h"

namespace flowloom {
namespace {

using Field = std::vector<double>;

Field noise_field(std::uint64_t number, std::size_t size) {
  Field field(size);
  fill_normal(NoiseKey::from("hmc"), Purpose::kReferenceChain, number, field);
  return field;
}

struct Case {
  std::string name;
  std::function<std::unique_ptr<HmcAction>()> make;
};

std::unique_ptr<HmcAction> u1(const GaugeLattice& lattice, double beta) {
  return std::make_unique<U1Action>(lattice, beta);
}
std::unique_ptr<HmcAction> phi4(const Phi4Action& action) { return std::make_unique<Phi4Action>(action); }

const std::vector<Case> kCases = {
    {"phi4 A 4 x 6",
     [] {
       return phi4(Phi4Action::form_a(Geometry({4, 6}), -4, 8));
     }},
    {"phi4 A 5", [] { return phi4(Phi4Action::form_a(Geometry({5}), 0.5, 0)); }},
    {"phi4 B 2 x 3 x 4",
     [] {
       return phi4(Phi4Action::form_b(Geometry({2, 3, 4}), 0.4, 0.5));
     }},
    {"phi4 B 2^4",
     [] {
       return phi4(Phi4Action::form_b(Geometry({2, 2, 2, 2}), 0.2, 1.1));
     }},
    {"U(1) 4 x 6",
     [] {
       return u1(GaugeLattice(Geometry({4, 6})), 3);
     }},
    {"U(1) 2 x 3 x 4",
     [] {
       return u1(GaugeLattice(Geometry({2, 3, 4})), 1.5);
     }},
    {"U(1) 2^4",
     [] {
       return u1(GaugeLattice(Geometry({2, 2, 2, 2})), 0.9);
     }},
    {"U(1) 2^4, two planes",
     [] {
       return u1(GaugeLattice(Geometry({2, 2, 2, 2}), {{0, 1}, {2, 3}}), 0.9);
     }},
};

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

// The neighbour of site x forwards in direction mu.
std::size_t next(const Geometry& geometry, std::size_t x, std::size_t mu) {
  auto coordinates = geometry.coordinates(x);
  ++coordinates[mu];
  return geometry.site(coordinates);
}

// Both forms as lattice/phi4.h prints them.
TEST(HmcAction, Phi4IsTheDirectSum) {
  const Geometry geometry({4, 3, 2});
  const Field phi = noise_field(2, geometry.sites());
  double hopping = 0, a = 0, b = 0;
  for (std::size_t x = 0; x < phi.size(); ++x) {
    for (std::size_t mu = 0; mu < 3; ++mu) hopping += phi[x] * phi[next(geometry, x, mu)];
    a += (6 + 0.3) * std::pow(phi[x], 2) + 0.7 * std::pow(phi[x], 4);
    b += std::pow(phi[x], 2) + 0.7 * std::pow(phi[x] * phi[x] - 1, 2);
  }
  EXPECT_NEAR(Phi4Action::form_a(geometry, 0.3, 0.7).action(phi), a - 2 * hopping, 1e-11);
  EXPECT_NEAR(Phi4Action::form_b(geometry, 0.6, 0.7).action(phi), b - 0.6 * hopping, 1e-11);
}

TEST(HmcAction, U1IsTheDirectSumAndGaugeInvariant) {
  const Geometry geometry({3, 4, 2});
  const double beta = 1.7;
  const U1Action action(GaugeLattice(geometry), beta);
  Field theta = noise_field(3, 3 * geometry.sites());
  const std::size_t v = geometry.sites();
  double sum = 0;
  for (std::size_t x = 0; x < v; ++x) {
    for (std::size_t mu = 0; mu < 3; ++mu) {
      for (std::size_t nu = mu + 1; nu < 3; ++nu) {
        sum += std::cos(theta[mu * v + x] + theta[nu * v + next(geometry, x, mu)] -
                        theta[mu * v + next(geometry, x, nu)] - theta[nu * v + x]);
      }
    }
  }
  EXPECT_NEAR(action.action(theta), -beta * sum, 1e-11);
  const Field alpha = noise_field(4, v);
  for (std::size_t mu = 0; mu < 3; ++mu) {
    for (std::size_t x = 0; x < v; ++x) theta[mu * v + x] += alpha[x] - alpha[next(geometry, x, mu)];
  }
  EXPECT_NEAR(action.action(theta), -beta * sum, 1e-11);
}

TEST(HmcAction, RefusesWhatIsNoTheory) {
  const Geometry geometry({4, 4});
  EXPECT_THROW(Phi4Action::form_a(geometry, -1, 0), Error);
  EXPECT_THROW(Phi4Action::form_a(geometry, 1, -1), Error);
  EXPECT_THROW(Phi4Action::form_a(geometry, std::nan(""), 1), Error);
  EXPECT_THROW(Phi4Action::form_b(geometry, 0.5, 0), Error);
  EXPECT_NO_THROW(Phi4Action::form_a(geometry, 1, 0));
  EXPECT_NO_THROW(Phi4Action::form_b(geometry, 0.49, 0));
  EXPECT_THROW(U1Action(GaugeLattice(geometry), -1), Error);
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

// Of the oscillator H = 1/2 pi^2 + phi^2 (hopping beta = 0, lambda = 0) one step by hand.
TEST(Integrate, OneStepIsTheOneOfTheBook) {
  const Phi4Action action = Phi4Action::form_b(Geometry({1}), 0, 0);
  Field field{0.7}, momenta{0.2};
  integrate(action, Integrator::kLeapfrog, 0.3, 1, field, momenta);
  const double half = 0.2 - 0.15 * 1.4, end = 0.7 + 0.3 * half;
  EXPECT_NEAR(field[0], end, 1e-15);
  EXPECT_NEAR(momenta[0], half - 0.15 * 2 * end, 1e-15);

  field = {0.7}, momenta = {0.2};
  integrate(action, Integrator::kOmelyan, 0.3, 1, field, momenta);
  constexpr double kLambda = 0.1931833275037836;
  const double first = 0.2 - kLambda * 0.3 * 1.4, middle = 0.7 + 0.15 * first;
  const double second = first - (1 - 2 * kLambda) * 0.3 * 2 * middle, last = middle + 0.15 * second;
  EXPECT_NEAR(field[0], last, 1e-15);
  EXPECT_NEAR(momenta[0], second - kLambda * 0.3 * 2 * last, 1e-15);
}

NoiseKey key_of_test() { return NoiseKey::from("chain"); }

TEST(Hmc, ARejectionLeavesTheFieldWhereItWas) {
  // Steps that are too long for the quartic term: most trajectories end far off.
  Hmc hmc(phi4(Phi4Action::form_a(Geometry({4, 4}), -4, 8)), {.length = 1, .steps = 4}, key_of_test());
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
  Hmc hmc(phi4(Phi4Action::form_a(Geometry({4, 4}), -4, 8)), {.length = 40, .steps = 10}, key_of_test());
  for (int i = 0; i < 10; ++i) {
    const Hmc::Trajectory end = hmc.trajectory();
    EXPECT_FALSE(std::isfinite(end.delta_h));
    EXPECT_FALSE(end.accepted);
  }
  for (const double phi : hmc.field()) EXPECT_EQ(phi, 0);
}

TEST(Hmc, TheKeyDecidesTheChain) {
  const auto run = [](const std::string& key) {
    Hmc hmc(u1(GaugeLattice(Geometry({4, 4})), 2), {}, NoiseKey::from(key));
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
      Hmc hmc(phi4(Phi4Action::form_a(Geometry({12, 12}), -4, 6)),
              {.length = 1, .steps = first, .integrator = integrator}, key_of_test());
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
    return sentence_of([&] { Hmc(phi4(Phi4Action::form_a(Geometry({4}), 1, 0)), options, {}); });
  };
  EXPECT_EQ(refusal({.length = 0}), "A trajectory of HMC needs a finite length above 0, not 0.000000.");
  EXPECT_EQ(refusal({.steps = 0}), "A trajectory of HMC has 1 to 10000 steps, not 0.");
  EXPECT_EQ(refusal({}), "");
}

}  // namespace
}  // namespace flowloom
