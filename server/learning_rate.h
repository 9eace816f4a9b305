// The learning rate as a pure function of the step, the same bits everywhere: no libm.
#pragma once

#include <cstdint>

#include "spec/cos_pi.h"
#include "spec/run_spec.h"

namespace flowloom {

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
