#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "stats/acceptance.h"
#include "stats/gamma_method.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

using Flags = std::vector<std::uint8_t>;

const Flags kFlags{1, 0, 0, 1, 0};

TEST(Acceptance, RateIsTheAcceptedFraction) { EXPECT_DOUBLE_EQ(acceptance_rate(kFlags), 0.4); }

TEST(Acceptance, AnyNonZeroFlagMeansAccepted) { EXPECT_DOUBLE_EQ(acceptance_rate(Flags{0, 1, 2, 255}), 0.75); }

TEST(Acceptance, RunProbabilityCountsTheWindowsOfRejections) {
  EXPECT_DOUBLE_EQ(rejection_run_probability(kFlags, 0), 1.0);
  EXPECT_DOUBLE_EQ(rejection_run_probability(kFlags, 1), 3.0 / 5.0);
  EXPECT_DOUBLE_EQ(rejection_run_probability(kFlags, 2), 1.0 / 4.0);
  EXPECT_DOUBLE_EQ(rejection_run_probability(kFlags, 3), 0.0);
}

TEST(Acceptance, LongestRunMayTouchEitherEnd) {
  EXPECT_EQ(longest_rejection_run(Flags{0, 0, 0, 1, 0, 0}), 3u);
  EXPECT_EQ(longest_rejection_run(Flags{0, 0, 1, 0, 0, 0, 0}), 4u);
  EXPECT_EQ(longest_rejection_run(Flags{1, 1}), 0u);
}

TEST(Acceptance, TauOfAChainThatAlwaysAcceptsIsOneHalf) { EXPECT_EQ(tau_acc(Flags(10, 1)), 0.5); }

RC_GTEST_PROP(Acceptance, TauIsTheSumOfTheRunProbabilities, (const Flags& head)) {
  Flags flags = head;
  for (std::uint8_t& f : flags) f %= 2;
  flags.push_back(0);
  double sum = 0.5;
  for (std::size_t k = 1; k <= flags.size(); ++k) sum += rejection_run_probability(flags, k);
  RC_ASSERT(std::abs(tau_acc(flags) - sum) < 1e-12 * sum);
}

RC_GTEST_PROP(AcceptanceAccumulator, EqualsBatch, (const Flags& head)) {
  Flags flags = head;
  flags.push_back(1);
  AcceptanceAccumulator acceptance;
  acceptance.add(head);
  acceptance.add(std::span(flags).subspan(head.size()));
  RC_ASSERT(acceptance.count() == flags.size());
  RC_ASSERT(std::abs(acceptance.rate() - acceptance_rate(flags)) < 1e-12);
  RC_ASSERT(acceptance.longest_run() == longest_rejection_run(flags));
}

TEST(AcceptanceAccumulator, CurrentRunEndsWithAnAcceptance) {
  AcceptanceAccumulator acceptance;
  acceptance.add(Flags{1, 0, 0});
  EXPECT_EQ(acceptance.current_run(), 2u);
  acceptance.add(Flags{1});
  EXPECT_EQ(acceptance.current_run(), 0u);
  EXPECT_EQ(acceptance.longest_run(), 2u);
  EXPECT_EQ(acceptance.accepted(), 2u);
}

// Independent acceptances of probability a: p_rej(k) = (1 - a)^k, so tau = 1/2 + (1 - a) / a = 2.833 for a =
// 0.3. d tau / d a = 1 / a^2 and a has deviation sqrt(a (1 - a) / N) = 1.4e-3: tau's is .0162 to first order.
// Four of them: false alarm 6e-5.
TEST(Acceptance, TauOfIndependentAcceptancesFollowsTheory) {
  testing::Noise noise(10);
  Flags flags(100'000);
  for (std::uint8_t& f : flags) f = noise.uniform() < 0.3 ? 1 : 0;
  EXPECT_NEAR(tau_acc(flags), 0.5 + 0.7 / 0.3, 4 * 0.0162);
}

// erfc(1/2) = .4795. Four errors of the Gamma method: false alarm 6e-5.
TEST(Acceptance, OfLogNormalWeightsFollowsTheory) {
  testing::Noise noise(11);
  const Flags accepted = testing::metropolis_series(1.0, 200'000, noise).accepted;
  const std::vector<double> flags(accepted.begin(), accepted.end());
  const GammaEstimate rate = gamma_method(flags);
  EXPECT_NEAR(acceptance_rate(accepted), std::erfc(0.5), 4 * rate.error);
  EXPECT_LT(rate.error, 0.003);
}

// Both estimate the same time from the same chain. sigma = 0.3 keeps the tail short: with wide weights the
// Gamma method's window would cut it. Four errors of the Gamma method: false alarm 6e-5.
TEST(Acceptance, TauIsTheAutocorrelationTimeOfAnIndependentObservable) {
  testing::Noise noise(12);
  const auto series = testing::metropolis_series(0.3, 200'000, noise);
  const GammaEstimate gamma = gamma_method(series.observable);
  EXPECT_NEAR(tau_acc(series.accepted), gamma.tau_int, 4 * gamma.tau_int_error);
  EXPECT_LT(gamma.tau_int_error, 0.02 * gamma.tau_int);
}

TEST(Acceptance, NoFlagsAreAnError) {
  EXPECT_THROW(acceptance_rate({}), std::invalid_argument);
  EXPECT_THROW(rejection_run_probability({}, 0), std::invalid_argument);
  EXPECT_THROW(longest_rejection_run({}), std::invalid_argument);
  EXPECT_THROW(tau_acc({}), std::invalid_argument);
  EXPECT_THROW(AcceptanceAccumulator().rate(), std::invalid_argument);
}

TEST(Acceptance, ARunLongerThanTheChainIsAnError) {
  EXPECT_THROW(rejection_run_probability(kFlags, 6), std::invalid_argument);
}

}  // namespace
}  // namespace flowloom::stats
