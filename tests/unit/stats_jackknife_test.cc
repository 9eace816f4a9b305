#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "stats/gamma_method.h"
#include "stats/jackknife.h"
#include "stats/moments.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

using Series = std::vector<double>;

double identity(std::span<const double> means) { return means[0]; }
double square(std::span<const double> means) { return means[0] * means[0]; }

JackknifeEstimate jackknife_of(const Series& x, const DerivedQuantity& f, Bins bins) {
  const std::array<std::span<const double>, 1> components{x};
  return jackknife(components, f, bins);
}

TEST(Jackknife, OfAMeanWithSingleBinsIsTheStandardError) {
  testing::Noise noise(40);
  const Series x = testing::normal_series(1000, noise);
  const JackknifeEstimate estimate = jackknife_of(x, identity, Bins::of_count(1000));
  EXPECT_NEAR(estimate.value, mean(x), 1e-15);
  EXPECT_NEAR(estimate.error, std::sqrt(variance(x) / 1000.0), 1e-12);
  EXPECT_NEAR(estimate.bias, 0.0, 1e-12);
}

TEST(Jackknife, BiasOfASquaredMeanIsItsVarianceOverN) {
  testing::Noise noise(41);
  const Series x = testing::normal_series(500, noise);
  EXPECT_NEAR(jackknife_of(x, square, Bins::of_size(1)).bias, variance(x) / 500.0, 1e-12);
}

TEST(Jackknife, BinsOfEqualSizeGiveTheTextbookFormula) {
  // Two bins with means 1 and 3, F = square: F = 4, F_(1) = 9, F_(2) = 1.
  const JackknifeEstimate estimate = jackknife_of({0.0, 2.0, 2.0, 4.0}, square, Bins::of_count(2));
  EXPECT_DOUBLE_EQ(estimate.value, 4.0);
  EXPECT_DOUBLE_EQ(estimate.error, 4.0);  // sqrt(1/2 ((9 - 5)^2 + (1 - 5)^2))
  EXPECT_DOUBLE_EQ(estimate.bias, 1.0);   // (2 - 1) (5 - 4)
}

TEST(Jackknife, BinsBySizeHoldAtLeastThatMany) {
  EXPECT_EQ(Bins::of_size(10).count_for(105), 10u);
  EXPECT_EQ(Bins::of_size(10).count_for(20), 2u);
  EXPECT_EQ(Bins::of_count(7).count_for(105), 7u);
}

// The bins' errors are known to 1 / sqrt(2 * 499) = 3.2 %, the Gamma method's better. Four of them: false alarm 6e-5.
TEST(Jackknife, AgreesWithTheGammaMethodOnIndependentData) {
  testing::Noise noise(42);
  Series x = testing::normal_series(50'003, noise);
  Series y = testing::normal_series(50'003, noise);
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i] = 2.0 + 0.5 * (x[i] + y[i]);
    x[i] += 3.0;
  }
  const std::array<std::span<const double>, 2> components{x, y};
  const JackknifeEstimate binned = jackknife(components, testing::ratio, Bins::of_count(500));
  const GammaEstimate gamma = gamma_method(components, testing::ratio);
  EXPECT_DOUBLE_EQ(binned.value, gamma.value);
  EXPECT_NEAR(binned.error / gamma.error, 1.0, 4 * 0.033);
}

// tau_int = 4.5: bins of 200 miss about tau_int / 200 of the error. 1000 bins know theirs to 2.2 %, the Gamma
// method to 1.5 %; four of the two in quadrature, and the 2 %: false alarm 6e-5.
TEST(Jackknife, LongBinsAgreeWithTheGammaMethodOnCorrelatedData) {
  testing::Noise noise(43);
  const Series x = testing::ar1_series(0.8, 200'000, noise);
  const GammaEstimate gamma = gamma_method(x);
  EXPECT_NEAR(jackknife_of(x, identity, Bins::of_size(200)).error / gamma.error, 1.0, 4 * 0.027 + 0.02);
  EXPECT_LT(jackknife_of(x, identity, Bins::of_size(1)).error, 0.5 * gamma.error);
}

// Ratio of independent means 3 and 2 with unit variances, error^2 = (1/4 + 9/16) / N, known to 1 / sqrt(2 *
// 999) = 2.2 % from 1000 bins. Four of them: false alarm 6e-5.
TEST(Jackknife, ErrorOfARatioIsTheAnalyticOne) {
  constexpr std::size_t kCount = 100'000;
  testing::Noise noise(44);
  Series x = testing::normal_series(kCount, noise);
  Series y = testing::normal_series(kCount, noise);
  for (double& v : x) v += 3.0;
  for (double& v : y) v += 2.0;
  const std::array<std::span<const double>, 2> components{x, y};
  const JackknifeEstimate estimate = jackknife(components, testing::ratio, Bins::of_count(1000));
  EXPECT_NEAR(estimate.error / std::sqrt((0.25 + 9.0 / 16.0) / kCount), 1.0, 4 * 0.022);
}

// 2000 chains of 10 measurements in 6 bins, of one or two each: the mean of error^2 is the variance of the
// mean, 1/10, known to sqrt(2 / 5 / 2000) = 1.4 %. Four of them: false alarm 6e-5.
TEST(Jackknife, UnequalBinsLeaveTheErrorUnbiased) {
  testing::Noise noise(45);
  Moments error_sq;
  for (int i = 0; i < 2000; ++i) {
    const double error = jackknife_of(testing::normal_series(10, noise), identity, Bins::of_count(6)).error;
    error_sq.add(error * error);
  }
  EXPECT_NEAR(error_sq.mean() * 10.0, 1.0, 4 * 0.014);
}

TEST(Jackknife, DataWithoutVarianceHaveNoError) {
  const JackknifeEstimate estimate = jackknife_of(Series(100, 0.1), square, Bins::of_count(7));
  EXPECT_NEAR(estimate.error, 0.0, 1e-15);
}

TEST(Jackknife, RefusesBinsThatDoNotFit) {
  const Series x{1.0, 2.0, 3.0};
  EXPECT_THROW(jackknife_of(x, identity, Bins::of_count(0)), std::invalid_argument);
  EXPECT_THROW(jackknife_of(x, identity, Bins::of_count(1)), std::invalid_argument);
  EXPECT_THROW(jackknife_of(x, identity, Bins::of_count(4)), std::invalid_argument);
  EXPECT_THROW(jackknife_of(x, identity, Bins::of_size(0)), std::invalid_argument);
  EXPECT_THROW(jackknife_of(x, identity, Bins::of_size(2)), std::invalid_argument);
}

TEST(Jackknife, RefusesBadData) {
  EXPECT_THROW(jackknife({}, identity, Bins::of_count(2)), std::invalid_argument);
  EXPECT_THROW(jackknife_of({1.0}, identity, Bins::of_count(2)), std::invalid_argument);
  EXPECT_THROW(jackknife_of({1.0, std::nan("")}, identity, Bins::of_count(2)), std::invalid_argument);
}

TEST(Jackknife, RefusesADerivedQuantityThatIsNotFiniteOnAReducedMean) {
  // Fine at the mean of all, 1, but leaving out the last bin leaves 0.
  const auto inverse = [](std::span<const double> means) { return 1.0 / means[0]; };
  EXPECT_THROW(jackknife_of({0.0, 0.0, 3.0}, inverse, Bins::of_count(3)), std::invalid_argument);
}

}  // namespace
}  // namespace flowloom::stats
