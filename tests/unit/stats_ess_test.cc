#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "stats/ess.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

std::vector<double> log_normal_weights(double sigma, double centre, std::size_t count, std::uint64_t seed) {
  testing::Noise noise(seed);
  std::vector<double> log_w = testing::normal_series(count, noise);
  for (double& l : log_w) l = centre + sigma * l;
  return log_w;
}

WeightAccumulator weights_of(const std::vector<double>& log_w) {
  WeightAccumulator weights;
  for (const double l : log_w) weights.add(l);
  return weights;
}

// 1e-12, relative for figures above one.
bool agree(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

// Log weights as fractions of up to +-30, with some weights of zero.
std::vector<double> any_log_weights() {
  std::vector<double> log_w;
  for (const int k : *rc::gen::container<std::vector<int>>(rc::gen::inRange(-3100, 3001))) {
    log_w.push_back(k < -3000 ? -kInfinity : 0.01 * k);
  }
  log_w.push_back(0.0);
  return log_w;
}

TEST(Ess, OfEqualWeightsIsOne) { EXPECT_EQ(ess(std::vector<double>(7, -1234.5)), 1.0); }

TEST(Ess, OfOneDominantWeightIsOneOverN) {
  EXPECT_DOUBLE_EQ(ess(std::vector<double>{0.0, -800.0, -900.0, -kInfinity}), 0.25);
}

TEST(Ess, OfTwoUnequalWeightsFollowsTheFormula) {
  // Weights 1 and 3: (1 + 3)^2 / (2 (1 + 9)).
  EXPECT_DOUBLE_EQ(ess(std::vector<double>{0.0, std::log(3.0)}), 0.8);
}

TEST(Ess, DoesNotOverflowForHugeLogWeights) {
  EXPECT_NEAR(ess(std::vector<double>{1.0e6, 1.0e6 + std::log(3.0)}), 0.8, 1e-9);
  EXPECT_NEAR(ess(std::vector<double>{-1.0e6, -1.0e6 + std::log(3.0)}), 0.8, 1e-9);
}

// exp(-1) = .3679. The estimator's standard deviation at N = 1e6 follows from the first four moments of the
// weights: .3679 * sqrt(34.9 / N) = .0022, with tails far from Gaussian. Bound: 1.2e-2, false alarm about
// 1e-3 (measured: one in 1000 seeds).
TEST(Ess, OfLogNormalWeightsFollowsTheory) {
  EXPECT_NEAR(ess(log_normal_weights(1.0, 5.0, 1'000'000, 2)), std::exp(-1.0), 0.012);
}

// Target samples of log-normal weights: log_w ~ N(sigma^2 / 2, sigma^2). Both means have relative deviation
// sqrt((e - 1) / N) = .0021 at N = 4e5 and are anticorrelated (correlation -e^-1): at most .3679 * .003 =
// .0011. Four of them: false alarm 6e-5.
TEST(Ess, FromTargetSamplesAgreesWithModelSamples) {
  EXPECT_NEAR(ess_from_target(log_normal_weights(1.0, 0.5, 400'000, 3)), std::exp(-1.0), 4 * 0.0011);
}

TEST(Ess, FromTargetOfTwoWeightsFollowsTheFormula) {
  // Weights 1 and 3: 1 / (mean 2 * mean 2/3).
  EXPECT_DOUBLE_EQ(ess_from_target(std::vector<double>{0.0, std::log(3.0)}), 0.75);
}

TEST(Ess, FromTargetUnmasksANeglectedMode) {
  // Half of the target's samples sit where the model puts e^-20 of their share.
  std::vector<double> log_w(1000, 0.0);
  std::fill(log_w.begin() + 500, log_w.end(), 20.0);
  EXPECT_LT(ess_from_target(log_w), 1e-8);
  EXPECT_EQ(ess(std::span(log_w).first(500)), 1.0);
}

TEST(Ess, IsNotChangedByAConstantInTheLogWeights) {
  const std::vector<double> log_w = log_normal_weights(1.0, 0.0, 1000, 4);
  std::vector<double> shifted = log_w;
  for (double& l : shifted) l += 64.0;
  EXPECT_NEAR(ess(shifted), ess(log_w), 1e-12);
  EXPECT_NEAR(ess_from_target(shifted), ess_from_target(log_w), 1e-12);
  EXPECT_NEAR(log_z(shifted).value, log_z(log_w).value + 64.0, 1e-12);
}

TEST(LogZ, IsTheLogOfTheMeanWeight) {
  const Estimate z = log_z(std::vector<double>{std::log(2.0), std::log(6.0), -kInfinity, -kInfinity});
  EXPECT_DOUBLE_EQ(z.value, std::log(2.0));
  // ess = 8^2 / (4 * 40) = 0.4, so the error is sqrt(1.5 / 4).
  EXPECT_DOUBLE_EQ(z.error, std::sqrt(1.5 / 4.0));
}

// log-normal weights with centre c: log Z = c + 1/2. Four errors: false alarm 6e-5.
TEST(LogZ, OfLogNormalWeightsFollowsTheoryWithinItsError) {
  const Estimate z = log_z(log_normal_weights(1.0, -3.0, 100'000, 5));
  EXPECT_NEAR(z.value, -2.5, 4 * z.error);
}

// The scatter of 2000 repetitions has a relative deviation of about 2 % (1 / sqrt(2 * 2000) and the weights'
// tails); the bound is four of them and 1 % for the first-order formula: false alarm below 1e-4.
TEST(LogZ, ErrorIsTheScatterOfRepetitions) {
  double sum = 0.0;
  double sum_sq = 0.0;
  double mean_error = 0.0;
  constexpr int kRepetitions = 2000;
  for (int i = 0; i < kRepetitions; ++i) {
    const Estimate z = log_z(log_normal_weights(0.5, 0.0, 500, 1000 + static_cast<std::uint64_t>(i)));
    sum += z.value / kRepetitions;
    sum_sq += z.value * z.value / kRepetitions;
    mean_error += z.error / kRepetitions;
  }
  EXPECT_NEAR(mean_error / std::sqrt(sum_sq - sum * sum), 1.0, 0.09);
}

TEST(Ess, RefusesWhatIsNotAWeight) {
  for (const double bad : {kNan, kInfinity}) {
    const std::vector<double> log_w{0.0, bad};
    EXPECT_THROW(ess(log_w), std::invalid_argument);
    EXPECT_THROW(log_z(log_w), std::invalid_argument);
    EXPECT_THROW(ess_from_target(log_w), std::invalid_argument);
  }
}

TEST(Ess, RefusesNoWeightsAndOnlyZeroWeights) {
  for (const std::vector<double>& log_w : {std::vector<double>{}, std::vector<double>(3, -kInfinity)}) {
    EXPECT_THROW(ess(log_w), std::invalid_argument);
    EXPECT_THROW(log_z(log_w), std::invalid_argument);
    EXPECT_THROW(ess_from_target(log_w), std::invalid_argument);
  }
}

TEST(Ess, FromTargetRefusesAZeroWeight) {
  EXPECT_THROW(ess_from_target(std::vector<double>{0.0, -kInfinity}), std::invalid_argument);
}

TEST(WeightAccumulator, EqualsBatchOnALongStreamWithARisingMaximum) {
  std::vector<double> log_w = log_normal_weights(2.0, 0.0, 100'000, 6);
  for (std::size_t i = 0; i < log_w.size(); ++i) log_w[i] += 1e-3 * static_cast<double>(i);
  const WeightAccumulator weights = weights_of(log_w);
  EXPECT_NEAR(weights.ess(), ess(log_w), 1e-12 * ess(log_w));
  EXPECT_NEAR(weights.log_z().value, log_z(log_w).value, 1e-12 * log_z(log_w).value);
  EXPECT_NEAR(weights.log_z().error, log_z(log_w).error, 1e-12 * log_z(log_w).error);
}

RC_GTEST_PROP(WeightAccumulator, EqualsBatchOnAnyStream, ()) {
  const std::vector<double> log_w = any_log_weights();
  const WeightAccumulator weights = weights_of(log_w);
  RC_ASSERT(weights.count() == log_w.size());
  RC_ASSERT(agree(weights.ess(), ess(log_w)));
  RC_ASSERT(agree(weights.log_z().value, log_z(log_w).value));
}

RC_GTEST_PROP(WeightAccumulator, MergingPartsEqualsTheWhole, ()) {
  const std::vector<double> log_w = any_log_weights();
  const auto cut = *rc::gen::inRange<std::size_t>(0, log_w.size() + 1);
  WeightAccumulator head;
  WeightAccumulator tail;
  for (std::size_t i = 0; i < log_w.size(); ++i) (i < cut ? head : tail).add(log_w[i]);
  head.merge(tail);
  RC_ASSERT(head.count() == log_w.size());
  RC_ASSERT(agree(head.ess(), ess(log_w)));
  RC_ASSERT(agree(head.log_z().value, log_z(log_w).value));
}

TEST(WeightAccumulator, MergingWithItselfDoublesEveryWeight) {
  WeightAccumulator weights = weights_of({0.0, 1.0, -2.0});
  weights.merge(weights);
  EXPECT_EQ(weights.count(), 6u);
  EXPECT_NEAR(weights.ess(), ess(std::vector<double>{0.0, 1.0, -2.0}), 1e-14);
}

TEST(WeightAccumulator, ABadWeightIsRefusedAndChangesNothing) {
  WeightAccumulator weights = weights_of({0.0, 1.0});
  const double before = weights.ess();
  EXPECT_THROW(weights.add(kNan), std::invalid_argument);
  EXPECT_THROW(weights.add(kInfinity), std::invalid_argument);
  EXPECT_EQ(weights.count(), 2u);
  EXPECT_EQ(weights.ess(), before);
}

TEST(WeightAccumulator, HasNoFiguresBeforeAPositiveWeight) {
  WeightAccumulator weights;
  EXPECT_THROW(weights.ess(), std::invalid_argument);
  weights.add(-kInfinity);
  EXPECT_THROW(weights.ess(), std::invalid_argument);
  EXPECT_THROW(weights.log_z(), std::invalid_argument);
  weights.add(-5.0);
  EXPECT_DOUBLE_EQ(weights.ess(), 0.5);
}

}  // namespace
}  // namespace flowloom::stats
