#include "server/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace flowloom {
namespace {

TrainSpec spec(std::int64_t warmup, LearningRateDecay decay) {
  TrainSpec train;
  train.learning_rate = 0.5;
  train.warmup = warmup;
  train.decay = decay;
  train.max_steps = 100;
  return train;
}

TEST(LearningRate, StaysWithoutWarmUpAndDecay) {
  const TrainSpec train = spec(0, LearningRateDecay::kNone);
  for (const std::int64_t step : {0, 1, 99, 100, 5000}) EXPECT_EQ(learning_rate(train, step, 0), 0.5);
}

TEST(LearningRate, RisesLinearlyOverTheWarmUp) {
  const TrainSpec train = spec(4, LearningRateDecay::kNone);
  EXPECT_DOUBLE_EQ(learning_rate(train, 0, 0), 0.125);
  EXPECT_DOUBLE_EQ(learning_rate(train, 2, 0), 0.375);
  EXPECT_DOUBLE_EQ(learning_rate(train, 3, 0), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(train, 4, 0), 0.5);
}

TEST(LearningRate, FallsAlongHalfACosineToZeroAtTheLastStep) {
  const TrainSpec train = spec(0, LearningRateDecay::kCosine);
  EXPECT_DOUBLE_EQ(learning_rate(train, 0, 0), 0.5);
  EXPECT_NEAR(learning_rate(train, 25, 0), 0.25 * (1 + std::cos(std::numbers::pi / 4)), 1e-15);
  EXPECT_NEAR(learning_rate(train, 50, 0), 0.25, 1e-15);
  EXPECT_GT(learning_rate(train, 99, 0), 0);
  EXPECT_EQ(learning_rate(train, 100, 0), 0);
  EXPECT_EQ(learning_rate(train, 5000, 0), 0);
}

TEST(Milestones, AreGivenStepsOrMultiples) {
  const Milestones at{.at = {10, 25}}, every{.every = 10}, none{};
  const std::int64_t steps[] = {0, 9, 10, 24, 25, 99};
  const std::int64_t passed_at[] = {0, 0, 1, 1, 2, 2}, passed_every[] = {0, 0, 1, 2, 2, 9};
  for (std::size_t i = 0; i < std::size(steps); ++i) {
    EXPECT_EQ(milestones_passed(at, steps[i], {}), passed_at[i]);
    EXPECT_EQ(milestones_passed(every, steps[i], {}), passed_every[i]);
    EXPECT_EQ(milestones_passed(none, steps[i], {}), 0);
  }
}

TEST(Milestones, LowerTheRateAndRaiseTheBatch) {
  TrainSpec train = spec(0, LearningRateDecay::kNone);
  train.batch = 64;
  train.milestones.rate_factor = 0.5;
  train.milestones.batch_factor = 4;
  EXPECT_EQ(learning_rate(train, 50, 3), 0.0625);
  EXPECT_EQ(batch_size(train, 0), 64u);
  EXPECT_EQ(batch_size(train, 3), 4096u);
  EXPECT_EQ(batch_size(train, 1'000'000'000), kLargestBatch);
  EXPECT_EQ(learning_rate(train, 50, 1'000'000'000), 0);
}

TEST(Plateau, IsALossThatMakesNoProgress) {
  const Milestones milestones{.plateau = 3, .progress = 0.1};
  Plateau plateau;
  const double losses[] = {5, 4, 3.95, 3.9, 3.8, 3.75, 3.71, 3.9, 3.5, std::nan(""), 3.5, 3.5};
  const std::int64_t passed[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2};
  for (std::size_t i = 0; i < std::size(losses); ++i) {
    plateau.observe(milestones, losses[i]);
    EXPECT_EQ(plateau.passed, passed[i]) << "loss " << i;
  }
}

}  // namespace
}  // namespace flowloom
