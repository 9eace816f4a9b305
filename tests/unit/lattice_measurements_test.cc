#include "lattice/measurements.h"

#include <gtest/gtest.h>

#include <numeric>

#include "flow_gauge_contract.h"
#include "wilson_2d_dense.h"

namespace flowloom {
namespace {

AnyTheory phi4(const std::string& lattice) {
  return theory_of(load_run_text("[run]\nname = \"test\"\n[theory]\nkind = \"phi4\"\nlattice = " + lattice +
                                     "\nm2 = -4.0\nlambda = 8.0\n[flow]\nkind = \"affine-coupling\"\nkernel = 1\n"
                                     "[chain]\nlength = 1\n",
                                 "test.toml"));
}
AnyTheory schwinger(const std::string& kappa) {
  return theory_of(GaugeCase{.lattice = {4, 8}, .theory = "kind = \"schwinger\"\nkappa = " + kappa}.run());
}
std::vector<double> random_field(const AnyTheory& theory) { return noise_at(3, theory_variables(theory)); }

double log_det(const AnyTheory& theory, const std::vector<double>& field) {
  return theory_sums_of(theory, field).back();
}

TEST(Measurements, OfPhi4AreTheTwoPointFunctionWhoseSumIsTheSusceptibility) {
  for (const std::string lattice : {"[6, 4]", "[4, 6]", "[4, 2, 4]", "[10]"}) {
    const AnyTheory theory = phi4(lattice);
    const auto extent = static_cast<std::size_t>(theory_geometry(theory).extents().back());
    const std::vector<double> field = random_field(theory);
    const Measurements measurements = theory_measurements(theory);
    const std::vector<double> values = measurements.of(field);
    ASSERT_EQ(values.size(), extent / 2 + 1);
    ASSERT_EQ(measurements.quantities.size(), values.size());
    EXPECT_EQ(measurements.quantities[1].name, "correlator_1");
    double sum = 0;
    for (std::size_t t = 0; t < extent; ++t) sum += values[std::min(t, extent - t)];
    const std::vector<double> sums = theory_sums_of(theory, field);
    EXPECT_NEAR(sum, find_observable(theory, "chi2").value(theory_log_p(theory, sums), sums), 1e-12) << lattice;
  }
}

TEST(Measurements, OfPhi4SeeHowFarSlicesAreApart) {
  const AnyTheory theory = phi4("[2, 6]");
  std::vector<double> field(12);
  field[0] = 3;      // site (0, 0)
  field[6 + 2] = 5;  // site (1, 2)
  const std::vector<double> values = theory_measurements(theory).of(field);
  EXPECT_DOUBLE_EQ(values[0], (9.0 + 25.0) / 12);
  EXPECT_DOUBLE_EQ(values[1], 0);
  EXPECT_DOUBLE_EQ(values[2], 15.0 / 12);
  EXPECT_DOUBLE_EQ(values[3], 0);
}

// kappa = 1 / (2 m + 4)
TEST(Measurements, TheCondensateIsTheSlopeOfLogDetByTheMass) {
  const double m = -0.188, h = 1e-5;
  const auto at_mass = [](double mass) { return schwinger(nlohmann::json(1 / (2 * mass + 4)).dump()); };
  const AnyTheory theory = at_mass(m);
  const std::vector<double> field = random_field(theory);
  const double slope = (log_det(at_mass(m + h), field) - log_det(at_mass(m - h), field)) / (2 * h);
  const Measurements measurements = theory_measurements(theory);
  EXPECT_EQ(measurements.quantities[0].name, "condensate");
  EXPECT_NEAR(measurements.of(field)[0], -slope / 32, 1e-7);
}

TEST(Measurements, OfFermionsDoNotDependOnTheGauge) {
  const AnyTheory theory = schwinger("0.276");
  const std::vector<double> field = random_field(theory);
  const Measurements measurements = theory_measurements(theory);
  const std::vector<double> one = measurements.of(field),
                            other = measurements.of(gauge_transformed(theory_geometry(theory), field, 1));
  ASSERT_EQ(one.size(), 6u) << "the condensate and t = 0 to 4";
  for (std::size_t q = 0; q < one.size(); ++q) EXPECT_NEAR(one[q], other[q], 1e-10) << measurements.quantities[q].name;
}

TEST(Measurements, AreNoneWhereTheLogHasAll) {
  EXPECT_TRUE(theory_measurements(theory_of(GaugeCase{}.run())).quantities.empty());
}

}  // namespace
}  // namespace flowloom
