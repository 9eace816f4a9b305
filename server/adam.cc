#include "server/adam.h"

#include <algorithm>
#include <cmath>

namespace flowloom {

void Adam::update(const TrainSpec& train, std::span<double> weights, std::span<const double> gradient, double rate,
                  bool single) {
  if (train.amsgrad) largest.resize(second.size());
  beta1_product *= train.beta1;
  beta2_product *= train.beta2;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double g = gradient[i];
    first[i] = train.beta1 * first[i] + (1 - train.beta1) * g;
    second[i] = train.beta2 * second[i] + (1 - train.beta2) * (g * g);
    if (train.amsgrad) largest[i] = std::max(largest[i], second[i]);
    const double m = first[i] / (1 - beta1_product);
    const double v = (train.amsgrad ? largest[i] : second[i]) / (1 - beta2_product);
    const double weight = weights[i] - rate * m / (std::sqrt(v) + train.epsilon);
    weights[i] = single ? static_cast<double>(static_cast<float>(weight)) : weight;
  }
}

void move_average(std::span<double> average, std::span<const double> weights, double share, std::int64_t updates) {
  const double n = static_cast<double>(updates);
  const double kept = std::min(share, (1 + n) / (10 + n));
  for (std::size_t i = 0; i < average.size(); ++i) average[i] += (1 - kept) * (weights[i] - average[i]);
}

}  // namespace flowloom
