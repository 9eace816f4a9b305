// The learning rate and the batch as pure functions of the step and of the milestones passed, the same bits everywhere:
// no libm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "math/elementary.h"
#include "spec/run_spec.h"

namespace flowloom {

inline constexpr std::size_t kLargestBatch = 1 << 24;

// Finds milestones by a loss that stays where it is ([train] milestones.plateau).
struct Plateau {
  double lowest = std::numeric_limits<double>::infinity();  // of the losses seen
  std::int64_t waited = 0;                                  // losses since it, or since the last milestone
  std::int64_t passed = 0;                                  // milestones

  // The loss, averaged over the steps since it was last given.
  void observe(const Milestones& milestones, double loss) {
    if (loss < lowest - milestones.progress) {
      lowest = loss;
      waited = 0;
    } else if (++waited >= milestones.plateau) {
      waited = 0;
      ++passed;
    }
  }

  bool operator==(const Plateau&) const = default;
};

// Milestones at or before step `step` = 0, 1, 2, ….
inline std::int64_t milestones_passed(const Milestones& milestones, std::int64_t step, const Plateau& plateau) {
  if (milestones.every > 0) return step / milestones.every;
  if (milestones.plateau > 0) return plateau.passed;
  return std::upper_bound(milestones.at.begin(), milestones.at.end(), step) - milestones.at.begin();
}

// The rate of step `step`: rises linearly over `warmup` steps (step 0 has 1/warmup of it), is multiplied by
// `rate_factor` at each milestone and, with decay "cosine", falls along half a cosine that reaches zero at `max_steps`.
inline double learning_rate(const TrainSpec& train, std::int64_t step, std::int64_t passed) {
  double rate = train.learning_rate;
  if (step + 1 < train.warmup) rate *= static_cast<double>(step + 1) / static_cast<double>(train.warmup);
  for (std::int64_t i = 0; i < passed && train.milestones.rate_factor < 1 && rate > 0; ++i)
    rate *= train.milestones.rate_factor;
  if (train.decay == LearningRateDecay::kCosine) {
    if (step >= train.max_steps) return 0;
    rate *= 0.5 * (1 + turn(0.5 * static_cast<double>(step) / static_cast<double>(train.max_steps)).cos);
  }
  return rate;
}

// Samples of a step: `batch` times `batch_factor` at each milestone, as often as kLargestBatch allows.
inline std::size_t batch_size(const TrainSpec& train, std::int64_t passed) {
  std::size_t batch = train.batch;
  for (; passed > 0 && train.milestones.batch_factor > 1 && batch * train.milestones.batch_factor <= kLargestBatch;
       --passed) {
    batch *= train.milestones.batch_factor;
  }
  return batch;
}

}  // namespace flowloom
