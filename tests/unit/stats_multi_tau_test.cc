#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "stats/gamma_method.h"
#include "stats/moments.h"
#include "stats/multi_tau.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

using Series = std::vector<double>;

MultiTau multi_tau_of(const Series& x) {
  MultiTau live;
  for (const double v : x) live.add(v);
  return live;
}

void expect_same(const LiveEstimate& a, const LiveEstimate& b) {
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.tau_int, b.tau_int);
  EXPECT_EQ(a.window, b.window);
}

TEST(MultiTau, EqualsTheGammaMethodWhileTheWindowFitsTheFirstLevel) {
  for (const double rho : {0.0, 0.3, 0.5}) {
    testing::Noise noise(50);
    Series x = testing::ar1_series(rho, 10'001, noise);
    for (double& v : x) v += 100.0;
    const GammaEstimate gamma = gamma_method(x);
    const LiveEstimate live = multi_tau_of(x).estimate();
    ASSERT_LT(gamma.window, MultiTau::kChannels);
    EXPECT_EQ(live.window, static_cast<double>(gamma.window));
    EXPECT_NEAR(live.mean, gamma.value, 1e-12 * gamma.value);
    EXPECT_NEAR(live.variance, gamma.variance, 1e-10 * gamma.variance);
    EXPECT_NEAR(live.tau_int, gamma.tau_int, 1e-10 * gamma.tau_int);
    EXPECT_NEAR(live.tau_int_error, gamma.tau_int_error, 1e-9 * gamma.tau_int_error);
    EXPECT_NEAR(live.error, gamma.error, 1e-10 * gamma.error);
    EXPECT_NEAR(live.error_of_error, gamma.error_of_error, 1e-10 * gamma.error_of_error);
    EXPECT_TRUE(live.reliable);
  }
}

TEST(MultiTau, BeyondTheFirstLevelSumsTheAutocovarianceOfBlocks) {
  testing::Noise noise(59);
  const Series x = testing::ar1_series(0.95, 20'003, noise);
  const LiveEstimate live = multi_tau_of(x).estimate();

  // window = b (W + 1/2) - 1/2 with W in 16 ... 31 names b and W.
  std::size_t block = 2;
  while ((live.window + 0.5) / static_cast<double>(block) - 0.5 >= MultiTau::kChannels) block *= 2;
  const double b = static_cast<double>(block);
  const auto w = static_cast<std::size_t>((live.window + 0.5) / b - 0.5);
  ASSERT_GE(block, 4u);
  ASSERT_GE(w, MultiTau::kChannels / 2);

  Series blocks;
  for (std::size_t i = 0; i + block <= x.size(); i += block) blocks.push_back(mean(std::span(x).subspan(i, block)));
  const double centre = mean(blocks);
  double c = 0.0;
  for (std::size_t t = 0; t <= w; ++t) {
    double sum = 0.0;
    for (std::size_t i = t; i < blocks.size(); ++i) sum += (blocks[i] - centre) * (blocks[i - t] - centre);
    c += (t == 0 ? b : 2.0 * b) * sum / static_cast<double>(blocks.size() - t);
  }
  const double n = static_cast<double>(x.size());
  const double corrected = c + (2.0 * live.window + 1.0) * c / n;
  EXPECT_NEAR(live.error, std::sqrt(corrected / n), 1e-10 * live.error);
  EXPECT_NEAR(live.variance, variance(x) * (n - 1.0) / n + c / n, 1e-10 * live.variance);
  EXPECT_NEAR(live.tau_int, corrected / (2.0 * live.variance), 1e-10 * live.tau_int);
}

// Both look at the same chain: their difference is that of the windows, at most one part in sixteen, and far
// smaller than the error of either. Seen: below 0.6 % in 50 seeds.
TEST(MultiTau, AgreesWithTheGammaMethodOnAr1) {
  for (const double rho : {0.0, 0.8, 0.95}) {
    testing::Noise noise(51);
    const Series x = testing::ar1_series(rho, 200'000, noise);
    const GammaEstimate gamma = gamma_method(x);
    const LiveEstimate live = multi_tau_of(x).estimate();
    EXPECT_TRUE(live.reliable);
    EXPECT_NEAR(live.tau_int / gamma.tau_int, 1.0, 0.1) << "rho = " << rho;
    EXPECT_NEAR(live.error / gamma.error, 1.0, 0.05) << "rho = " << rho;
    EXPECT_NEAR(live.tau_int_error / gamma.tau_int_error, 1.0, 0.1) << "rho = " << rho;
  }
}

// Within four of the stated errors of the truth: false alarm 6e-5 for each rho. tau_int = 99.5 lies five levels up.
TEST(MultiTau, FindsTauIntOfAr1) {
  for (const double rho : {0.0, 0.8, 0.95, 0.99}) {
    testing::Noise noise(52);
    const LiveEstimate live = multi_tau_of(testing::ar1_series(rho, 1'000'000, noise)).estimate();
    EXPECT_TRUE(live.reliable);
    EXPECT_NEAR(live.tau_int, testing::ar1_tau_int(rho), 4 * live.tau_int_error) << "rho = " << rho;
    EXPECT_LT(live.tau_int_error, 0.07 * live.tau_int) << "rho = " << rho;
    EXPECT_NEAR(live.mean, 0.0, 4 * live.error) << "rho = " << rho;
  }
}

// Log-normal weights of sigma = 2 accept 16 % and hold some states for hundreds of steps.
TEST(MultiTau, AgreesWithTheGammaMethodOnMetropolisChains) {
  for (const double sigma : {0.3, 1.0, 2.0}) {
    testing::Noise noise(53);
    const Series x = testing::metropolis_series(sigma, 200'000, noise).observable;
    const GammaEstimate gamma = gamma_method(x);
    const LiveEstimate live = multi_tau_of(x).estimate();
    EXPECT_NEAR(live.tau_int / gamma.tau_int, 1.0, 0.1) << "sigma = " << sigma;
    EXPECT_NEAR(live.error / gamma.error, 1.0, 0.05) << "sigma = " << sigma;
  }
}

// Independent values held for m steps each: C / N is the variance over the number of states, so tau_int -> m
// / 2. N = 1e6 / m states; within four stated errors: false alarm 6e-5 for each m.
TEST(MultiTau, ValuesHeldForMStepsHaveTauIntHalfOfM) {
  for (const std::uint64_t m : {std::uint64_t{3}, std::uint64_t{10}, std::uint64_t{100}}) {
    testing::Noise noise(54);
    MultiTau live;
    while (live.count() < 1'000'000) live.add(Series(m, noise.normal()));
    const LiveEstimate estimate = live.estimate();
    EXPECT_NEAR(estimate.tau_int, 0.5 * static_cast<double>(m), 4 * estimate.tau_int_error) << "m = " << m;
  }
}

RC_GTEST_PROP(MultiTau, PortionsMakeNoDifference, ()) {
  testing::Noise noise(*rc::gen::inRange(0, 1000));
  MultiTau together;
  MultiTau singly;
  for (int portion = 0; portion < 6; ++portion) {
    Series steps(*rc::gen::inRange<std::size_t>(0, 700));
    for (double& x : steps) x = noise.normal();
    together.add(steps);
    for (const double x : steps) singly.add(x);
  }
  RC_PRE(together.count() >= 2);
  RC_ASSERT(together.count() == singly.count());
  expect_same(together.estimate(), singly.estimate());
}

TEST(MultiTau, ALargeMeanDoesNotDrownTheCovariance) {
  testing::Noise noise(55);
  Series x = testing::ar1_series(0.8, 50'000, noise);
  const LiveEstimate plain = multi_tau_of(x).estimate();
  for (double& v : x) v += 1.0e8;
  const LiveEstimate shifted = multi_tau_of(x).estimate();
  EXPECT_NEAR(shifted.tau_int, plain.tau_int, 1e-6 * plain.tau_int);
  EXPECT_NEAR(shifted.error, plain.error, 1e-6 * plain.error);
}

TEST(MultiTau, AStartFarFromEquilibriumDoesNotDrownTheCovariance) {
  testing::Noise noise(56);
  Series x = testing::ar1_series(0.5, 50'000, noise);
  x[0] = 1.0e3;
  const GammaEstimate gamma = gamma_method(x);
  const LiveEstimate live = multi_tau_of(x).estimate();
  EXPECT_NEAR(live.tau_int, gamma.tau_int, 1e-6 * gamma.tau_int);
  EXPECT_NEAR(live.error, gamma.error, 1e-6 * gamma.error);
}

TEST(MultiTau, AChainThatHasNotMovedHasNoErrorAndIsNotReliable) {
  MultiTau live;
  live.add(Series(10'000, 0.1));
  const LiveEstimate estimate = live.estimate();
  EXPECT_EQ(estimate.mean, 0.1);
  EXPECT_EQ(estimate.error, 0.0);
  EXPECT_EQ(estimate.tau_int, 0.5);
  EXPECT_FALSE(estimate.reliable);
}

TEST(MultiTau, AChainThatMovedOnceIsNotReliable) {
  MultiTau live;
  live.add(Series(5'000, 0.0));
  live.add(Series(5'000, 1.0));
  EXPECT_FALSE(live.estimate().reliable);
  EXPECT_GT(live.estimate().tau_int, 500.0);
}

TEST(MultiTau, AnAlternatingChainFallsBackToTheNaiveError) {
  MultiTau live;
  for (int i = 0; i < 1000; ++i) live.add(i % 2);
  const LiveEstimate estimate = live.estimate();
  EXPECT_EQ(estimate.tau_int, 0.5);
  EXPECT_FALSE(estimate.reliable);
  EXPECT_NEAR(estimate.error, std::sqrt(0.25 / 1000.0), 1e-4);
}

TEST(MultiTau, LookingDoesNotDisturb) {
  testing::Noise noise(57);
  const Series x = testing::ar1_series(0.9, 3'000, noise);
  MultiTau watched;
  for (const double v : x) {
    watched.add(v);
    if (watched.count() >= 2) watched.estimate();
  }
  expect_same(watched.estimate(), multi_tau_of(x).estimate());
}

TEST(MultiTau, IsFiniteFromTheSecondStepOn) {
  testing::Noise noise(58);
  MultiTau live;
  live.add(noise.normal());
  for (int i = 0; i < 2'000; ++i) {
    live.add(noise.normal());
    const LiveEstimate estimate = live.estimate();
    ASSERT_TRUE(std::isfinite(estimate.error) && estimate.error > 0.0) << "step " << live.count();
    ASSERT_TRUE(std::isfinite(estimate.tau_int) && estimate.tau_int > 0.0) << "step " << live.count();
    ASSERT_TRUE(std::isfinite(estimate.tau_int_error)) << "step " << live.count();
  }
}

TEST(MultiTau, ABadValueIsRefusedAndChangesNothing) {
  MultiTau live = multi_tau_of({1.0, 2.0, 2.0, 1.0, 3.0});
  const LiveEstimate before = live.estimate();
  EXPECT_THROW(live.add(std::nan("")), std::invalid_argument);
  EXPECT_THROW(live.add(Series{1.0, std::numeric_limits<double>::infinity()}), std::invalid_argument);
  EXPECT_EQ(live.count(), 5u);
  expect_same(live.estimate(), before);
}

TEST(MultiTau, RefusesToEstimateFromLessThanTwoSteps) {
  MultiTau live;
  EXPECT_THROW(live.estimate(), std::invalid_argument);
  live.add(1.0);
  EXPECT_THROW(live.estimate(), std::invalid_argument);
}

TEST(MultiTau, RefusesAWindowParameterThatIsNotPositive) {
  EXPECT_THROW(MultiTau(0.0), std::invalid_argument);
  EXPECT_THROW(MultiTau(std::nan("")), std::invalid_argument);
}

}  // namespace
}  // namespace flowloom::stats
