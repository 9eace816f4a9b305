#include "server/adam.h"

#include <cmath>

namespace flowloom {

void Adam::update(std::span<double> weights, std::span<const double> gradient, double rate, bool single) {
  beta1_product *= kBeta1;
  beta2_product *= kBeta2;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double g = gradient[i];
    first[i] = kBeta1 * first[i] + (1 - kBeta1) * g;
    second[i] = kBeta2 * second[i] + (1 - kBeta2) * (g * g);
    const double m = first[i] / (1 - beta1_product);
    const double v = second[i] / (1 - beta2_product);
    const double weight = weights[i] - rate * m / (std::sqrt(v) + kEpsilon);
    weights[i] = single ? static_cast<double>(static_cast<float>(weight)) : weight;
  }
}

}  // namespace flowloom
