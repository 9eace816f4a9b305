#include "server/adam.h"

#include <gtest/gtest.h>

#include <cmath>

namespace flowloom {
namespace {

const TrainSpec kSettings = [] {
  TrainSpec train;
  train.beta1 = 0.9;
  train.beta2 = 0.999;
  train.epsilon = 1e-8;
  return train;
}();

TEST(Adam, TheFirstUpdateMovesEachWeightByTheRate) {
  // Bias correction makes m = g and v = g^2, whatever the gradient's size.
  Adam adam(2);
  std::vector<double> weights = {1.0, 1.0};
  adam.update(kSettings, weights, std::vector<double>{4.0, -0.25}, 0.5, false);
  EXPECT_NEAR(weights[0], 1 - 0.5 * 4.0 / (4.0 + 1e-8), 1e-15);
  EXPECT_NEAR(weights[1], 1 + 0.5 * 0.25 / (0.25 + 1e-8), 1e-15);
}

TEST(Adam, TwoUpdatesFollowTheFormula) {
  Adam adam(1);
  std::vector<double> weights = {0.0};
  adam.update(kSettings, weights, std::vector<double>{1.0}, 0.1, false);
  adam.update(kSettings, weights, std::vector<double>{3.0}, 0.1, false);
  // m = 0.9 * 0.1 * 1 + 0.1 * 3 = 0.39; v = 0.999 * 0.001 * 1 + 0.001 * 9 = 0.009999
  const double m = 0.39 / (1 - 0.81);          // 0.9^2
  const double v = 0.009999 / (1 - 0.998001);  // 0.999^2
  EXPECT_NEAR(weights[0], -0.1 * 1.0 / (1.0 + 1e-8) - 0.1 * m / (std::sqrt(v) + 1e-8), 1e-14);
  EXPECT_DOUBLE_EQ(adam.beta1_product, 0.81);
  EXPECT_DOUBLE_EQ(adam.beta2_product, 0.998001);
}

TEST(Adam, AZeroGradientMovesNothing) {
  Adam adam(1);
  std::vector<double> weights = {0.7};
  adam.update(kSettings, weights, std::vector<double>{0.0}, 0.1, false);
  EXPECT_EQ(weights[0], 0.7);
}

TEST(Adam, MixedPrecisionKeepsWeightsAsFloat32Values) {
  Adam adam(1);
  std::vector<double> weights = {static_cast<double>(0.1f)};
  for (int i = 0; i < 10; ++i) {
    adam.update(kSettings, weights, std::vector<double>{0.3 + i}, 1e-3, true);
    EXPECT_EQ(weights[0], static_cast<double>(static_cast<float>(weights[0])));
  }
  EXPECT_NE(adam.first[0], static_cast<double>(static_cast<float>(adam.first[0]))) << "moments stay float64";
}

TEST(Adam, AmsgradsSecondMomentNeverFalls) {
  TrainSpec train = kSettings;
  train.amsgrad = true;
  train.epsilon = 1e-3;
  Adam adam(1);
  std::vector<double> weights = {0.0};
  adam.update(train, weights, std::vector<double>{10.0}, 0.1, false);
  const double before = weights[0], largest = adam.largest[0];
  adam.update(train, weights, std::vector<double>{0.1}, 0.1, false);
  EXPECT_LT(adam.second[0], largest);
  EXPECT_EQ(adam.largest[0], largest);
  const double m = (0.9 * 0.1 * 10 + 0.1 * 0.1) / (1 - 0.81), v = largest / (1 - 0.998001);
  EXPECT_NEAR(weights[0], before - 0.1 * m / (std::sqrt(v) + 1e-3), 1e-14);
}

TEST(MovingAverage, ForgetsItsBeginningFastAndThenKeepsItsShare) {
  std::vector<double> average = {8.0};
  move_average(average, std::vector<double>{0.0}, 0.75, 0);
  EXPECT_DOUBLE_EQ(average[0], 0.8);  // a tenth is kept
  move_average(average, std::vector<double>{0.0}, 0.75, 8);
  EXPECT_DOUBLE_EQ(average[0], 0.4);  // 9/18
  move_average(average, std::vector<double>{1.0}, 0.75, 1000);
  EXPECT_DOUBLE_EQ(average[0], 0.4 * 0.75 + 0.25);
}

TEST(Adam, FindsTheMinimumOfAParabola) {
  Adam adam(1);
  std::vector<double> weights = {5.0};
  for (int i = 0; i < 2000; ++i)
    adam.update(kSettings, weights, std::vector<double>{2 * (weights[0] - 3)}, 0.05, false);
  EXPECT_NEAR(weights[0], 3.0, 1e-3);
}

}  // namespace
}  // namespace flowloom
