// Adam (arXiv:1412.6980, algorithm 1) and AMSGrad (arXiv:1904.09237) on plain arrays, the same bits everywhere: only
// IEEE operations that have one right answer, in the order of the weights; the powers of beta are running products.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "spec/run_spec.h"

namespace flowloom {

struct Adam {
  explicit Adam(std::size_t weights = 0) : first(weights), second(weights) {}

  // weight -= rate * m / (sqrt(v) + epsilon), m and v bias-corrected, by the settings of `train`; for AMSGrad v is the
  // largest second moment so far. With `single`, weights stay float32 values: each is rounded after its update. The
  // moments are always float64.
  void update(const TrainSpec& train, std::span<double> weights, std::span<const double> gradient, double rate,
              bool single);

  std::vector<double> first, second;            // moments, [weight]
  std::vector<double> largest;                  // [weight] for AMSGrad, else empty
  double beta1_product = 1, beta2_product = 1;  // beta^t after t updates

  bool operator==(const Adam&) const = default;
};

// Moves `average` towards `weights`, of which it has seen `updates` before: the old keeps the share
// min(share, (1 + updates) / (10 + updates)).
void move_average(std::span<double> average, std::span<const double> weights, double share, std::int64_t updates);

}  // namespace flowloom
