#include "lattice/schwinger.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "flow_gauge_contract.h"
#include "wilson_2d_dense.h"

namespace flowloom {
namespace {

std::string text_of(double kappa) { return "kind = \"schwinger\"\nkappa = " + nlohmann::json(kappa).dump(); }

AnyTheory schwinger(const std::vector<std::int64_t>& lattice, double beta, double kappa) {
  return Schwinger(GaugeCase{.lattice = lattice, .beta = beta, .theory = text_of(kappa)}.run().theory);
}
AnyTheory pure_gauge(const std::vector<std::int64_t>& lattice, double beta) {
  return U1Gauge(GaugeCase{.lattice = lattice, .beta = beta}.run().theory);
}

// Smooth enough for both signs of light modes to be rare, rough enough for charges.
std::vector<double> random_links(const AnyTheory& theory, std::uint64_t number) {
  std::vector<double> field = noise_at(number, theory_variables(theory));
  for (double& angle : field) angle *= 0.7;
  return field;
}

double action(const AnyTheory& theory, const std::vector<double>& field) {
  return -theory_log_p(theory, theory_sums_of(theory, field));
}

struct Lattice {
  std::vector<std::int64_t> extents;
  double kappa;
};
std::vector<Lattice> lattices() {
  return {{{4, 4}, 0.276}, {{4, 8}, 0.276}, {{8, 4}, 0.2}, {{6, 5}, 0.3}, {{4, 4}, 0.01}};
}

// The flow's masks want other lattices than the theory.
AnyTheory theory_on(const Lattice& lattice, double beta) {
  const nlohmann::json values = {{"lattice", lattice.extents}, {"beta", beta}, {"kappa", lattice.kappa}};
  return Schwinger(Section("", values, {}));
}

TEST(Schwinger, TheActionIsThatOfTheLinksMinusTwiceTheDenseLogDet) {
  for (const Lattice& lattice : lattices()) {
    const AnyTheory theory = theory_on(lattice, 1.7);
    const AnyTheory gauge = U1Gauge(Section("", {{"lattice", lattice.extents}, {"beta", 1.7}}, {}));
    const auto field = random_links(theory, 1);
    const double log_det =
        dense_solve(dense_wilson(static_cast<std::size_t>(lattice.extents[0]),
                                 static_cast<std::size_t>(lattice.extents[1]), 1 / (2 * lattice.kappa) - 2, field))
            .log_abs_det;
    EXPECT_NEAR(action(theory, field), action(gauge, field) - 2 * log_det, 1e-11 * (1 + std::abs(log_det)));
    EXPECT_NEAR(theory_sums_of(theory, field).back(), log_det, 1e-11 * (1 + std::abs(log_det)));
  }
}

TEST(Schwinger, TheForceIsTheActionsSlope) {
  for (const Lattice& lattice : lattices()) {
    const AnyTheory theory = theory_on(lattice, 2.3);
    auto field = random_links(theory, 2);
    const auto force = theory_force(theory, field);
    double largest = 1;
    for (const double slope : force) largest = std::max(largest, std::abs(slope));
    for (std::size_t i = 0; i < field.size(); ++i) {
      const double own = field[i];
      field[i] = own + 1e-5;
      const double above = action(theory, field);
      field[i] = own - 1e-5;
      const double below = action(theory, field);
      field[i] = own;
      EXPECT_NEAR(force[i], (above - below) / 2e-5, 1e-7 * largest);
    }
  }
}

// Fermions that do not hop leave the links alone.
TEST(Schwinger, HeavyFermionsAreAConstant) {
  const AnyTheory heavy = schwinger({4, 4}, 1.3, 1e-5), gauge = pure_gauge({4, 4}, 1.3);
  const auto one = random_links(heavy, 3), other = random_links(heavy, 4);
  EXPECT_NEAR(action(heavy, one) - action(heavy, other), action(gauge, one) - action(gauge, other), 1e-9);
  EXPECT_GT(std::abs(action(gauge, one) - action(gauge, other)), 0.1);
}

TEST(Schwinger, ItsOtherSumsAndObservablesAreThoseOfThePureTheory) {
  const AnyTheory theory = schwinger({8, 4}, 1.3, 0.25), gauge = pure_gauge({8, 4}, 1.3);
  const auto field = random_links(theory, 5);
  const auto own = theory_sums_of(theory, field), plain = theory_sums_of(gauge, field);
  ASSERT_EQ(own.size(), plain.size() + 1);
  const auto infos = theory_sums(theory), plain_infos = theory_sums(gauge);
  for (std::size_t k = 0; k < plain.size(); ++k) {
    EXPECT_EQ(own[k], plain[k]);
    EXPECT_EQ(infos[k].name, plain_infos[k].name);
  }
  EXPECT_EQ(infos.back().name, "log_det");
  const auto observables = theory_observables(theory), plain_observables = theory_observables(gauge);
  ASSERT_EQ(observables.size(), plain_observables.size() + 1);
  for (std::size_t i = 0; i < plain_observables.size(); ++i) {
    EXPECT_EQ(observables[i].name, plain_observables[i].name);
    EXPECT_EQ(observables[i].value(-1.5, own), plain_observables[i].value(-1.5, plain)) << observables[i].name;
  }
  EXPECT_EQ(observables.back().name, "log_det");
  EXPECT_EQ(observables.back().value(0, own), own.back());
}

TEST(Schwinger, NothingThatIsMeasuredDependsOnTheGauge) {
  const AnyTheory theory = schwinger({8, 8}, 1.0, 0.276);
  const auto field = random_links(theory, 6);
  const auto before = theory_sums_of(theory, field);
  const auto after = theory_sums_of(theory, gauge_transformed(theory_geometry(theory), field, 4));
  for (std::size_t k = 0; k < before.size(); ++k)
    EXPECT_NEAR(after[k], before[k], 1e-10) << theory_sums(theory)[k].name;
}

// A sign of all time links of one slice undoes the fermions' boundary condition, which the links' action does not see.
TEST(Schwinger, FermionsAreAntiperiodicInTimeAndPeriodicInSpace) {
  const AnyTheory theory = schwinger({4, 4}, 1.0, 0.2);
  const auto log_det_with = [&](std::size_t mu) {
    std::vector<double> field(32);
    for (std::size_t x = 0; x < 16; ++x) {
      if (theory_geometry(theory).coordinates(x)[mu] == 0) field[mu * 16 + x] = kPi;
    }
    return theory_sums_of(theory, field).back();
  };
  const auto free = [](double space, double time) {
    double sum = 0;
    for (int k = 0; k < 4; ++k) {
      for (int l = 0; l < 4; ++l) {
        const double p0 = kPi / 2 * (k + space), p1 = kPi / 2 * (l + time);
        sum += std::log(std::pow(2.5 - std::cos(p0) - std::cos(p1), 2) + std::pow(std::sin(p0), 2) +
                        std::pow(std::sin(p1), 2));
      }
    }
    return sum;
  };
  EXPECT_NEAR(theory_sums_of(theory, std::vector<double>(32)).back(), free(0, 0.5), 1e-12);
  EXPECT_NEAR(log_det_with(0), free(0.5, 0.5), 1e-12);
  EXPECT_NEAR(log_det_with(1), free(0, 0), 1e-12);
}

TEST(Schwinger, RefusesWhatTheEliminationCannotDo) {
  const auto sentence = [](const std::vector<std::int64_t>& lattice, const std::string& kappa) {
    return sentence_of([&] { GaugeCase{.lattice = lattice, .theory = "kind = \"schwinger\"" + kappa}.run(); });
  };
  EXPECT_EQ(sentence({64, 8}, "\nkappa = 0.33"), "");
  EXPECT_EQ(
      sentence({68, 8}, "\nkappa = 0.2"),
      "test.toml:7: [theory] lattice: Wilson fermions need 1 to 64 sites in space and at least 1 in time, not 68 x 8.");
  for (const std::string kappa : {"0.34", "0.0", "-0.2"}) {
    const std::string refused = "test.toml:6: [theory] kappa = " + kappa + " is out of range";
    EXPECT_EQ(sentence({8, 8}, "\nkappa = " + kappa).substr(0, refused.size()), refused);
  }
  EXPECT_NE(sentence({8, 8}, "").find("kappa"), std::string::npos);
  EXPECT_NE(sentence({8, 8}, "\nkappa = 0.2\nm = 0.1").find("'m'"), std::string::npos);
}

}  // namespace
}  // namespace flowloom
