// Adam (arXiv:1412.6980, algorithm 1) on plain arrays, the same bits everywhere: only IEEE operations that
// have one right answer, in the order of the weights; the powers of beta are running products.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace flowloom {

struct Adam {
  static constexpr double kBeta1 = 0.9;
  static constexpr double kBeta2 = 0.999;
  static constexpr double kEpsilon = 1e-8;

  explicit Adam(std::size_t weights = 0) : first(weights), second(weights) {}

  // weight -= rate * m / (sqrt(v) + epsilon), m and v bias-corrected. With `single`, weights stay float32
  // values: each is rounded after its update. The moments are always float64.
  void update(std::span<double> weights, std::span<const double> gradient, double rate, bool single);

  std::vector<double> first, second;            // moments, [weight]
  double beta1_product = 1, beta2_product = 1;  // beta^t after t updates

  bool operator==(const Adam&) const = default;
};

}  // namespace flowloom
