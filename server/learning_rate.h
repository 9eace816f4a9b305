// The learning rate as a pure function of the step, the same bits everywhere: no libm.
#pragma once

#include <cstdint>

#include "spec/run_spec.h"

namespace flowloom {

// cos(pi x) for x in [0, 1], to 1e-15: -sin(pi (x - 1/2)) by its Taylor series.
constexpr double cos_pi(double x) {
  constexpr double kPi = 3.14159265358979323846;
  const double t = kPi * (x - 0.5);
  double series = 1;
  for (int k = 10; k >= 1; --k) series = 1 - t * t / (2.0 * k * (2.0 * k + 1)) * series;
  return -t * series;
}

// The rate of step `step` = 0, 1, 2, …: rises linearly over `warmup` steps (step 0 has 1/warmup of it) and,
// with decay "cosine", falls along half a cosine that reaches zero at `max_steps`.
constexpr double learning_rate(const TrainSpec& train, std::int64_t step) {
  double rate = train.learning_rate;
  if (step + 1 < train.warmup) rate *= static_cast<double>(step + 1) / static_cast<double>(train.warmup);
  if (train.decay == LearningRateDecay::kCosine) {
    if (step >= train.max_steps) return 0;
    rate *= 0.5 * (1 + cos_pi(static_cast<double>(step) / static_cast<double>(train.max_steps)));
  }
  return rate;
}

}  // namespace flowloom
