#include "server/learning_rate.h"

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
  for (const std::int64_t step : {0, 1, 99, 100, 5000}) EXPECT_EQ(learning_rate(train, step), 0.5);
}

TEST(LearningRate, RisesLinearlyOverTheWarmUp) {
  const TrainSpec train = spec(4, LearningRateDecay::kNone);
  EXPECT_DOUBLE_EQ(learning_rate(train, 0), 0.125);
  EXPECT_DOUBLE_EQ(learning_rate(train, 2), 0.375);
  EXPECT_DOUBLE_EQ(learning_rate(train, 3), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(train, 4), 0.5);
}

TEST(LearningRate, FallsAlongHalfACosineToZeroAtTheLastStep) {
  const TrainSpec train = spec(0, LearningRateDecay::kCosine);
  EXPECT_DOUBLE_EQ(learning_rate(train, 0), 0.5);
  EXPECT_NEAR(learning_rate(train, 25), 0.25 * (1 + std::cos(std::numbers::pi / 4)), 1e-15);
  EXPECT_NEAR(learning_rate(train, 50), 0.25, 1e-15);
  EXPECT_GT(learning_rate(train, 99), 0);
  EXPECT_EQ(learning_rate(train, 100), 0);
  EXPECT_EQ(learning_rate(train, 5000), 0);
}

TEST(LearningRate, ItsCosineIsThatOfTheLibrary) {
  for (int i = 0; i <= 1000; ++i) {
    const double x = i / 1000.0;
    EXPECT_NEAR(cos_pi(x), std::cos(std::numbers::pi * x), 2e-15) << x;
  }
}

}  // namespace
}  // namespace flowloom
