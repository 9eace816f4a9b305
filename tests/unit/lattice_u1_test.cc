#include "lattice/u1.h"

#include <gtest/gtest.h>

#include <cmath>

#include "flow_gauge_contract.h"
#include "theory_cases.h"

namespace flowloom {
namespace {

AnyTheory u1(const std::vector<std::int64_t>& lattice, double beta) {
  return U1Gauge(GaugeCase{.lattice = lattice, .beta = beta}.run().theory);
}

std::vector<double> random_field(const AnyTheory& theory, std::uint64_t number) {
  std::vector<double> field(theory_variables(theory));
  fill_uniform(kTestKey, Purpose::kBase, number, field);
  for (double& angle : field) angle *= kTwoPi;
  return field;
}

TEST(U1Gauge, TheActionIsTheDirectSum) {
  const AnyTheory theory = u1({8, 4}, 1.7);
  const Geometry& geometry = theory_geometry(theory);
  const auto field = random_field(theory, 1);
  double sum = 0;
  for (std::int64_t a = 0; a < 8; ++a) {
    for (std::int64_t b = 0; b < 4; ++b) {
      const auto link = [&](std::size_t mu, std::int64_t x0, std::int64_t x1) {
        const std::int64_t x[] = {x0, x1};
        return field[mu * 32 + geometry.site(x)];
      };
      sum += std::cos(link(0, a, b) + link(1, a + 1, b) - link(0, a, b + 1) - link(1, a, b));
    }
  }
  EXPECT_NEAR(-theory_log_p(theory, theory_sums_of(theory, field)), -1.7 * sum, 1e-12);
}

TEST(U1Gauge, TheForceIsTheActionsSlope) {
  const AnyTheory theory = u1({4, 8}, 2.3);
  auto field = random_field(theory, 2);
  const auto force = theory_force(theory, field);
  const auto action = [&] { return -theory_log_p(theory, theory_sums_of(theory, field)); };
  for (std::size_t i = 0; i < field.size(); ++i) {
    const double own = field[i];
    field[i] = own + 1e-5;
    const double above = action();
    field[i] = own - 1e-5;
    const double below = action();
    field[i] = own;
    EXPECT_NEAR(force[i], (above - below) / 2e-5, 1e-8);
  }
}

TEST(U1Gauge, NothingThatIsMeasuredDependsOnTheGauge) {
  const AnyTheory theory = u1({8, 8}, 1.0);
  const auto field = random_field(theory, 3);
  const auto before = observables_of(theory, field);
  const auto after = observables_of(theory, gauge_transformed(theory_geometry(theory), field, 4));
  for (const auto& [name, value] : before) EXPECT_NEAR(after.at(name), value, 1e-11) << name;
}

TEST(U1Gauge, TheChargeIsAnIntegerAndTheSumOfTheWrappedPlaquettes) {
  const AnyTheory theory = u1({8, 8}, 1.0);
  double square = 0;
  for (std::uint64_t number = 0; number < 50; ++number) {
    const auto field = random_field(theory, number);
    const double charge = observables_of(theory, field)["charge"];
    EXPECT_EQ(charge, std::round(charge));
    const Geometry& geometry = theory_geometry(theory);
    double wrapped = 0;
    for (std::size_t x = 0; x < 64; ++x) {
      const auto ahead = [&](std::size_t mu) { return static_cast<std::size_t>(geometry.forward(mu)[x]); };
      wrapped += std::remainder(field[x] + field[64 + ahead(0)] - field[ahead(1)] - field[64 + x], kTwoPi);
    }
    EXPECT_NEAR(wrapped / kTwoPi, charge, 1e-10);
    square += charge * charge;
  }
  EXPECT_GT(square, 10);
}

// theta_1(x) = 2 pi q x_0 / V and theta_0(x) = -2 pi q x_1 / L_1 at the last x_0: every plaquette is 2 pi q / V.
TEST(U1Gauge, AConstantFieldOfChargeTwoHasTheWilsonLoopsOfItsAreas) {
  const AnyTheory theory = u1({8, 4}, 1.0);
  const Geometry& geometry = theory_geometry(theory);
  std::vector<double> field(64);
  const double unit = kTwoPi * 2 / 32;
  for (std::size_t x = 0; x < 32; ++x) {
    const auto at = geometry.coordinates(x);
    field[32 + x] = unit * static_cast<double>(at[0]);
    if (at[0] == 7) field[x] = -unit * 8 * static_cast<double>(at[1]);
  }
  const auto values = observables_of(theory, field);
  EXPECT_EQ(values.at("charge"), 2);
  EXPECT_NEAR(values.at("chi_q"), 4 / 32.0, 1e-15);
  EXPECT_NEAR(values.at("plaquette"), std::cos(unit), 1e-13);
  EXPECT_NEAR(values.at("wilson_1x2"), std::cos(2 * unit), 1e-13);
  EXPECT_NEAR(values.at("wilson_2x2"), std::cos(4 * unit), 1e-13);
  EXPECT_NEAR(values.at("wilson_3x3"), std::cos(9 * unit), 1e-13);
}

TEST(U1Gauge, ThePolyakovLoopIsThePhaseAroundTime) {
  const AnyTheory theory = u1({4, 8}, 1.0);
  std::vector<double> field(64);
  std::fill(field.begin() + 32, field.end(), 0.1);
  const auto values = observables_of(theory, field);
  EXPECT_NEAR(values.at("polyakov"), std::cos(0.8), 1e-13);
  EXPECT_NEAR(values.at("abs_polyakov"), 1, 1e-13);
}

}  // namespace
}  // namespace flowloom
