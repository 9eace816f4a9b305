#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "stats/gamma_method.h"
#include "stats/moments.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

using Series = std::vector<double>;

// Within four of the stated errors: false alarm 6e-5, somewhat more for the skewness of tau_int's
// distribution. The bound on the stated error keeps the test from passing by vagueness.
TEST(GammaMethod, FindsTauIntOfAr1) {
  for (const double rho : {0.0, 0.8, 0.95}) {
    testing::Noise noise(20);
    const GammaEstimate gamma = gamma_method(testing::ar1_series(rho, 200'000, noise));
    EXPECT_TRUE(gamma.reliable);
    EXPECT_NEAR(gamma.tau_int, testing::ar1_tau_int(rho), 4 * gamma.tau_int_error) << "rho = " << rho;
    EXPECT_LT(gamma.tau_int_error, 0.06 * gamma.tau_int) << "rho = " << rho;
    EXPECT_NEAR(gamma.value, 0.0, 4 * gamma.error) << "rho = " << rho;
  }
}

// 400 chains: the scatter of their means is known to 1 / sqrt(2 * 400) = 3.5 %, the mean of the errors much
// better. Four of them, and 2 % for the truncation that any window leaves: false alarm 6e-5.
TEST(GammaMethod, ErrorIsTheScatterOfRepetitions) {
  testing::Noise noise(21);
  Moments values;
  Moments errors;
  for (int i = 0; i < 400; ++i) {
    const GammaEstimate gamma = gamma_method(testing::ar1_series(0.8, 5'000, noise));
    values.add(gamma.value);
    errors.add(gamma.error);
  }
  EXPECT_NEAR(errors.mean() / std::sqrt(values.variance()), 1.0, 4 * 0.035 + 0.02);
}

// 200 chains: the scatter is known to 5 %. Wolff's formulas are leading order in W / N and hold to some 15 %
// here, so this catches wrong factors, not details: false alarm below 1e-4.
TEST(GammaMethod, ErrorsOfErrorsAreTheScatterOfRepetitions) {
  testing::Noise noise(22);
  Moments tau;
  Moments tau_error;
  Moments error;
  Moments error_of_error;
  for (int i = 0; i < 200; ++i) {
    const GammaEstimate gamma = gamma_method(testing::ar1_series(0.8, 20'000, noise));
    tau.add(gamma.tau_int);
    tau_error.add(gamma.tau_int_error);
    error.add(gamma.error);
    error_of_error.add(gamma.error_of_error);
  }
  EXPECT_NEAR(tau_error.mean() / std::sqrt(tau.variance()), 1.0, 0.35);
  EXPECT_NEAR(error_of_error.mean() / std::sqrt(error.variance()), 1.0, 0.35);
}

TEST(GammaMethod, FollowsTheFormulasOnEightNumbers) {
  // Mean 1, deviations -1 -1 0 0 2 0 0 0: Gamma(0) = 6/8, Gamma(1) = 1/7, Gamma(2) = 0. tau_int(1) = 1/2 +
  // 4/21, so tau = 1.5 / ln(25/4) = .8186 and g(1) = .2947 - .2894 > 0: on to W = 2, where g(2) = .0869 -
  // .2046 < 0. C = 6/8 + 2/7, and the correction multiplies it by 1 + 5/8.
  const GammaEstimate gamma = gamma_method(Series{0.0, 0.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0});
  const double c = 0.75 + 2.0 / 7.0;
  EXPECT_EQ(gamma.window, 2u);
  EXPECT_NEAR(gamma.error, std::sqrt(c * 1.625 / 8.0), 1e-14);
  EXPECT_NEAR(gamma.variance, 0.75 + c / 8.0, 1e-14);
  EXPECT_NEAR(gamma.tau_int, c * 1.625 / (2.0 * gamma.variance), 1e-14);
  EXPECT_NEAR(gamma.error_of_error, gamma.error * std::sqrt(2.5 / 8.0), 1e-14);
  EXPECT_NEAR(gamma.tau_int_error, 2.0 * gamma.tau_int * std::sqrt((2.5 - gamma.tau_int) / 8.0), 1e-14);
}

// The same additions in the same order, one lag after the other: eight partial sums, and the rest apart.
double lagged_sum(std::span<const double> x, std::size_t t) {
  const std::size_t n = x.size() - t, whole = n / 8 * 8;
  std::array<double, 8> sums{};
  for (std::size_t i = 0; i < whole; ++i) sums[i % 8] += x[i] * x[i + t];
  double sum = 0.0;
  for (std::size_t i = whole; i < n; ++i) sum += x[i] * x[i + t];
  for (const double lane : sums) sum += lane;
  return sum;
}

TEST(GammaMethod, HasTheBitsOfAPlainSumLagByLag) {
  const std::vector<std::size_t> lengths{5'011, 4'096, 1'003, 3'073};
  testing::Noise noise(34);
  std::size_t longest = 0;
  for (int repetition = 0; repetition < 20; ++repetition) {
    Series x;
    for (const std::size_t length : lengths) {
      const Series part = testing::ar1_series(0.95, length, noise);
      x.insert(x.end(), part.begin(), part.end());
    }
    Series centred = x;
    for (const double centre = mean(x); double& value : centred) value -= centre;
    const auto autocovariance = [&](std::size_t t) {
      double sum = 0.0;
      std::span<const double> left = centred;
      for (const std::size_t length : lengths) {
        sum += lagged_sum(left.first(length), t);
        left = left.subspan(length);
      }
      return sum / static_cast<double>(x.size() - lengths.size() * t);
    };
    const double n = static_cast<double>(x.size()), gamma_0 = autocovariance(0);
    double c = gamma_0;
    std::size_t window = 0;
    for (const double s : {0.01, 0.1, 2.0}) {  // the shorter the window, the more shows of one lag's last bit
      const GammaEstimate gamma = gamma_method(x, {.s = s, .replica_lengths = lengths});
      while (window < gamma.window) c += 2.0 * autocovariance(++window);
      EXPECT_EQ(gamma.variance, gamma_0 + c / n);
      EXPECT_EQ(gamma.error, std::sqrt((c + (2.0 * static_cast<double>(window) + 1.0) * c / n) / n));
    }
    longest = std::max(longest, window);
  }
  EXPECT_GT(longest, 100u);
}

TEST(GammaMethod, AnAlternatingChainFallsBackToTheNaiveError) {
  // Mean 2, deviations -1 1 -1 1: Gamma(0) = 1, Gamma(1) = -1, C = -1. The naive C = 1 becomes 1 + 1/4.
  const GammaEstimate gamma = gamma_method(Series{1.0, 3.0, 1.0, 3.0});
  EXPECT_DOUBLE_EQ(gamma.value, 2.0);
  EXPECT_DOUBLE_EQ(gamma.tau_int, 0.5);
  EXPECT_DOUBLE_EQ(gamma.error, std::sqrt(1.25 / 4.0));
  EXPECT_FALSE(gamma.reliable);
}

TEST(GammaMethod, AWiderWindowComesWithALargerS) {
  testing::Noise noise(23);
  const Series x = testing::ar1_series(0.8, 50'000, noise);
  EXPECT_LT(gamma_method(x, {.s = 1.0}).window, gamma_method(x, {.s = 2.0}).window);
}

TEST(GammaMethod, DataWithoutVarianceHaveNoErrorAndTauOneHalf) {
  const GammaEstimate gamma = gamma_method(Series(1000, 0.1));
  EXPECT_EQ(gamma.value, 0.1);
  EXPECT_EQ(gamma.error, 0.0);
  EXPECT_EQ(gamma.tau_int, 0.5);
  EXPECT_FALSE(gamma.reliable);
}

TEST(GammaMethod, AChainThatMovedOnceIsNotReliable) {
  Series jump(1000, 0.0);
  for (std::size_t i = 500; i < jump.size(); ++i) jump[i] = 1.0;
  const GammaEstimate gamma = gamma_method(jump);
  EXPECT_FALSE(gamma.reliable);
  EXPECT_GT(gamma.tau_int, 50.0);
}

// Four moves in 1024 steps, three of them soon: what is not the last state is short, and tau_int with it.
TEST(GammaMethod, AChainThatHardlyMovedIsNotReliableHoweverShortItsTauInt) {
  Series stuck(1024, 0.0);
  stuck[0] = 0.7;
  stuck[1] = stuck[2] = -1.2;
  stuck[3] = 0.4;
  const GammaEstimate gamma = gamma_method(stuck);
  EXPECT_LT(gamma.tau_int, 5.0);
  EXPECT_FALSE(gamma.reliable);
}

TEST(GammaMethod, AChainThatStandsStillForEightStepsEachTimeIsReliableWhenItIsLong) {
  testing::Noise noise(33);
  Series x;
  for (int run = 0; run < 100; ++run) x.insert(x.end(), 8, noise.normal());
  EXPECT_TRUE(gamma_method(x).reliable);
}

TEST(GammaMethod, AChainOfFewAutocorrelationTimesIsNotReliable) {
  testing::Noise noise(31);
  const Series x = testing::ar1_series(0.95, 20'000, noise);  // 1000 tau_int
  EXPECT_TRUE(gamma_method(x).reliable);
  EXPECT_FALSE(gamma_method(std::span(x).first(100)).reliable);  // 5 tau_int
}

TEST(GammaMethod, ReplicasTooShortForAWindowAreNotReliable) {
  testing::Noise noise(32);
  Series x;
  for (int r = 0; r < 200; ++r) {
    const Series part = testing::ar1_series(0.95, 10, noise);
    x.insert(x.end(), part.begin(), part.end());
  }
  const GammaEstimate gamma = gamma_method(x, {.replica_lengths = std::vector<std::size_t>(200, 10)});
  EXPECT_EQ(gamma.window, 5u);
  EXPECT_FALSE(gamma.reliable);
}

// Ratio of two independent means, mu = 3 and 2, unit variances: error^2 = (1/2^2 + 3^2/2^4) / N. The Gamma
// method knows its error to sqrt((W + 1/2) / N) ~ .5 %; four of them: false alarm 6e-5.
TEST(GammaMethod, ErrorOfARatioIsTheAnalyticOne) {
  constexpr std::size_t kCount = 100'000;
  testing::Noise noise(24);
  Series x = testing::normal_series(kCount, noise);
  Series y = testing::normal_series(kCount, noise);
  for (double& v : x) v += 3.0;
  for (double& v : y) v += 2.0;
  const std::array<std::span<const double>, 2> components{x, y};
  const GammaEstimate gamma = gamma_method(components, testing::ratio);
  EXPECT_NEAR(gamma.value, 1.5, 4 * gamma.error);
  EXPECT_NEAR(gamma.error, std::sqrt((0.25 + 9.0 / 16.0) / kCount), 4 * gamma.error_of_error);
  EXPECT_LT(gamma.error_of_error, 0.01 * gamma.error);
}

TEST(GammaMethod, FullyCorrelatedComponentsCancelInTheirRatio) {
  testing::Noise noise(25);
  Series x = testing::ar1_series(0.8, 10'000, noise);
  for (double& v : x) v += 5.0;
  Series y = x;
  for (double& v : y) v *= 2.0;
  const std::array<std::span<const double>, 2> components{x, y};
  const GammaEstimate gamma = gamma_method(components, testing::ratio);
  EXPECT_DOUBLE_EQ(gamma.value, 0.5);
  // Up to the cubic terms of the numerical derivative.
  EXPECT_LT(gamma.error, 1e-5 * gamma_method(x).error);
}

TEST(GammaMethod, ALinearDerivedQuantityEqualsThePrimaryOneOfTheCombinedSeries) {
  testing::Noise noise(26);
  const Series x = testing::ar1_series(0.8, 10'000, noise);
  const Series y = testing::ar1_series(0.5, 10'000, noise);
  Series combined(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) combined[i] = 2.0 * x[i] - 3.0 * y[i];
  const std::array<std::span<const double>, 2> components{x, y};
  const GammaEstimate derived =
      gamma_method(components, [](std::span<const double> a) { return 2.0 * a[0] - 3.0 * a[1]; });
  const GammaEstimate primary = gamma_method(combined);
  EXPECT_EQ(derived.window, primary.window);
  EXPECT_NEAR(derived.error, primary.error, 1e-9 * primary.error);
  EXPECT_NEAR(derived.tau_int, primary.tau_int, 1e-9 * primary.tau_int);
}

TEST(GammaMethod, AConstantComponentDoesNotContribute) {
  testing::Noise noise(27);
  const Series x = testing::ar1_series(0.5, 10'000, noise);
  const Series constant(x.size(), 4.0);
  const std::array<std::span<const double>, 2> components{x, constant};
  EXPECT_NEAR(gamma_method(components, testing::ratio).error, gamma_method(x).error / 4.0, 1e-14);
}

TEST(GammaMethod, ReplicasAreNotCorrelatedAcrossTheirSeam) {
  // Deviations 1 1 1 1, -2 -2: Gamma(0) = 12/6. As two replicas Gamma(1) = (3 + 4) / 4; as one chain the seam
  // takes part, (3 - 2 + 4) / 5. A tiny s closes the window at W = 1.
  const Series x{1.0, 1.0, 1.0, 1.0, -2.0, -2.0};
  const GammaEstimate cut = gamma_method(x, {.s = 0.01, .replica_lengths = {4, 2}});
  const GammaEstimate whole = gamma_method(x, {.s = 0.01});
  EXPECT_EQ(cut.window, 1u);
  EXPECT_EQ(whole.window, 1u);
  EXPECT_NEAR(cut.error, std::sqrt((2.0 + 2.0 * 7.0 / 4.0) * (1.0 + 3.0 / 6.0) / 6.0), 1e-14);
  EXPECT_NEAR(whole.error, std::sqrt((2.0 + 2.0 * 5.0 / 5.0) * (1.0 + 3.0 / 6.0) / 6.0), 1e-14);
}

TEST(GammaMethod, ReplicaQHasTheRightTail) {
  // Replicas with means +-d around zero and Gamma(0) = 1 + d^2: chi^2 is computed below from the estimate's
  // own C, one degree of freedom, Q = erfc(sqrt(chi^2 / 2)).
  Series x;
  for (int i = 0; i < 100; ++i) x.push_back(i % 2 == 0 ? 1.1 : -0.9);
  for (int i = 0; i < 100; ++i) x.push_back(i % 2 == 0 ? 0.9 : -1.1);
  const GammaEstimate gamma = gamma_method(x, {.replica_lengths = {100, 100}});
  const double c = gamma.error * gamma.error * 200.0;
  ASSERT_TRUE(gamma.replica_q.has_value());
  EXPECT_NEAR(*gamma.replica_q, std::erfc(std::sqrt(200.0 * 0.01 / c / 2.0)), 1e-12);
}

TEST(GammaMethod, ReplicaQUsesValuesFreeOfTheirBias) {
  // F = mean^2. Means 1.5 (N_r = 2), 3 (N_r = 4), 2.5 in all: F_r = 2.25 and 9, F = 6.25. Their average is
  // 1/3 2.25 + 2/3 9 = 6.75, so the bias of F is .5 and those of F_r are 1.5 and .75.
  const Series x{1.0, 2.0, 2.0, 4.0, 3.0, 3.0};
  const std::array<std::span<const double>, 1> components{x};
  const auto square = [](std::span<const double> a) { return a[0] * a[0]; };
  const GammaEstimate gamma = gamma_method(components, square, {.replica_lengths = {2, 4}});
  EXPECT_NEAR(gamma.value, 5.75, 1e-12);
  const double c = gamma.error * gamma.error * 6.0;
  const double chi_sq = (2.0 * std::pow(0.75 - 5.75, 2) + 4.0 * std::pow(8.25 - 5.75, 2)) / c;
  ASSERT_GT(c, 0.0);
  EXPECT_NEAR(gamma.replica_q.value(), std::erfc(std::sqrt(0.5 * chi_sq)), 1e-10);
}

// Q is uniform for replicas of one ensemble. 300 chains of 4 replicas: the mean of Q has deviation .289 /
// sqrt(300) = .0167, the fraction below 0.1 has .0173. Four of them: false alarm 1.3e-4 in all.
TEST(GammaMethod, ReplicaQOfOneEnsembleIsUniform) {
  testing::Noise noise(28);
  Moments q;
  Moments small;
  for (int i = 0; i < 300; ++i) {
    Series x;
    for (const std::size_t length : {1000u, 1500u, 2000u, 2500u}) {
      const Series part = testing::ar1_series(0.5, length, noise);
      x.insert(x.end(), part.begin(), part.end());
    }
    const GammaEstimate gamma = gamma_method(x, {.replica_lengths = {1000, 1500, 2000, 2500}});
    q.add(gamma.replica_q.value());
    small.add(*gamma.replica_q < 0.1 ? 1.0 : 0.0);
  }
  EXPECT_NEAR(q.mean(), 0.5, 4 * 0.0167);
  EXPECT_NEAR(small.mean(), 0.1, 4 * 0.0173);
}

TEST(GammaMethod, ReplicaQUnmasksChainsInDifferentModes) {
  testing::Noise noise(29);
  Series x = testing::normal_series(20'000, noise);
  for (std::size_t i = 0; i < 10'000; ++i) x[i] += 0.2;
  // Wolff's window sees the jump only as a long tail, so s is kept small: C stays near the within-replica one.
  const GammaEstimate gamma = gamma_method(x, {.s = 0.5, .replica_lengths = {10'000, 10'000}});
  EXPECT_LT(gamma.replica_q.value(), 1e-6);
}

TEST(GammaMethod, HasNoReplicaQForOneChain) {
  EXPECT_FALSE(gamma_method(Series{1.0, 2.0, 2.0, 1.0}).replica_q.has_value());
}

// F = mean^2 of N = 40 unit normals at 1 is biased by 1/40. Over 20000 repetitions of two replicas the mean
// of the corrected value has deviation 2 / sqrt(40 * 20000) = .0022; four of them is a third of the bias:
// false alarm 6e-5.
TEST(GammaMethod, ReplicasRemoveTheBiasOfADerivedQuantity) {
  testing::Noise noise(30);
  Moments corrected;
  for (int i = 0; i < 20'000; ++i) {
    Series x = testing::normal_series(40, noise);
    for (double& v : x) v += 1.0;
    const std::array<std::span<const double>, 1> components{x};
    const auto square = [](std::span<const double> a) { return a[0] * a[0]; };
    corrected.add(gamma_method(components, square, {.replica_lengths = {15, 25}}).value);
  }
  EXPECT_NEAR(corrected.mean(), 1.0, 4 * 0.0022);
}

TEST(GammaMethod, RefusesBadData) {
  EXPECT_THROW(gamma_method(Series{}), std::invalid_argument);
  EXPECT_THROW(gamma_method(Series{1.0}), std::invalid_argument);
  EXPECT_THROW(gamma_method(Series{1.0, std::nan("")}), std::invalid_argument);
  EXPECT_THROW(gamma_method(Components{}, testing::ratio), std::invalid_argument);
  const Series x{1.0, 2.0, 3.0};
  const Series shorter{1.0, 2.0};
  const std::array<std::span<const double>, 2> components{x, shorter};
  EXPECT_THROW(gamma_method(components, testing::ratio), std::invalid_argument);
}

TEST(GammaMethod, RefusesReplicasThatDoNotFitTheData) {
  const Series x{1.0, 2.0, 3.0, 4.0};
  EXPECT_THROW(gamma_method(x, {.replica_lengths = {2}}), std::invalid_argument);
  EXPECT_THROW(gamma_method(x, {.replica_lengths = {2, 3}}), std::invalid_argument);
  EXPECT_THROW(gamma_method(x, {.replica_lengths = {3, 1}}), std::invalid_argument);
}

TEST(GammaMethod, RefusesAWindowParameterThatIsNotPositive) {
  const Series x{1.0, 2.0, 3.0, 4.0};
  for (const double s : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(gamma_method(x, {.s = s}), std::invalid_argument);
  }
}

TEST(GammaMethod, RefusesADerivedQuantityThatIsNotFinite) {
  const Series x{1.0, 2.0};
  const Series zero{1.0, -1.0};
  const std::array<std::span<const double>, 2> components{x, zero};
  EXPECT_THROW(gamma_method(components, testing::ratio), std::invalid_argument);
  EXPECT_THROW(gamma_method(components, DerivedQuantity{}), std::invalid_argument);
}

}  // namespace
}  // namespace flowloom::stats
