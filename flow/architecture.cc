#include "flow/architecture.h"

#include <cmath>

#include "spec/error.h"

namespace flowloom {
namespace {

constexpr double kMostWeights = 0x1p28;

}  // namespace

std::size_t Architecture::parameter_count() const {
  std::size_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.size();
  return count;
}

void Architecture::refuse_other_count(std::size_t weights) const {
  if (weights == parameter_count()) return;
  throw Error(ErrorCode::kInternal,
              "A flow of " + std::to_string(parameter_count()) + " weights was given " + std::to_string(weights) + ".");
}

std::vector<double> Architecture::initial_weights(NoiseKey key) const {
  std::vector<double> weights(parameter_count());
  std::span<double> rest(weights);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const std::span<double> tensor = rest.first(parameter.size());
    rest = rest.subspan(tensor.size());
    if (parameter.fan_in == 0) {
      tensor[0] = parameter.initial;
      continue;
    }
    const double bound = parameter.init_scale / std::sqrt(static_cast<double>(parameter.fan_in));
    fill_uniform(key, Purpose::kInit, i, tensor);
    for (double& weight : tensor) weight = (2.0 * weight - 1.0) * bound;
  }
  return weights;
}

void Architecture::add_networks(double init_scale) {
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".net.";
    for (Parameter& parameter : network_.parameters(prefix, dimensions_, init_scale)) {
      parameters_.push_back(std::move(parameter));
    }
  }
}

void refuse_too_many_weights(const Architecture& flow, const Section& section) {
  double weights = 0;  // in floating point: a mistyped architecture may have more than an integer holds
  for (const Parameter& parameter : flow.parameters()) weights += static_cast<double>(parameter.size());
  if (weights <= kMostWeights) return;
  throw Error(ErrorCode::kInvalidInput, section.where("hidden") + " = " + section.values().at("hidden").dump() +
                                            ": this flow would have more than 2^28 weights; use fewer channels or "
                                            "layers, or a smaller kernel.");
}

}  // namespace flowloom
