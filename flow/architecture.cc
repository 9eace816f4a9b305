#include "flow/architecture.h"

#include <cmath>
#include <numeric>

#include "lattice/theories.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr double kMostWeights = 0x1p28;

void check(const RunSpec& run) {
  const AnyTheory theory = make_theory(run.theory);
  const Geometry& geometry = theory_geometry(theory);
  if (!geometry.all_even()) {
    throw Error(ErrorCode::kInvalidInput, run.theory.where("lattice") + " = " +
                                              run.theory.values().at("lattice").dump() +
                                              ": checkerboard couplings need even extents; use even numbers.");
  }
  const std::int64_t kernel = run.flow.integer("kernel");
  if (kernel % 2 == 0) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where("kernel") + " = " + std::to_string(kernel) +
                                              " must be odd, so that the convolution is centred.");
  }
  for (const std::int64_t extent : geometry.extents()) {
    if (kernel <= extent) continue;
    throw Error(ErrorCode::kInvalidInput, run.flow.where("kernel") + " = " + std::to_string(kernel) +
                                              " is wider than the lattice; use at most " +
                                              std::to_string(extent - 1 + extent % 2) + ".");
  }
  double weights = 0;  // in floating point: a mistyped architecture may have more than an integer holds
  const AffineCouplingFlow flow(run.flow, geometry.dimensions());
  for (const Parameter& parameter : flow.parameters()) {
    weights += static_cast<double>(parameter.size());
  }
  if (weights > kMostWeights) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where("hidden") + " = " + run.flow.values().at("hidden").dump() +
                                              ": this flow would have more than 2^28 weights; use fewer channels or "
                                              "layers, or a smaller kernel.");
  }
}

}  // namespace

std::size_t Parameter::size() const {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<std::int64_t>()));
}

const Kind& AffineCouplingFlow::kind() {
  static const Kind kKind{
      .name = "affine-coupling",
      .sentence = "Checkerboard affine couplings whose s and t come from circular convolution networks.",
      .keys = {{.name = "prior",
                .type = KeyType::kText,
                .sentence = "normal: independent standard normals.",
                .default_value = "normal",
                .choices = {"normal"}},
               {.name = "layers",
                .type = KeyType::kInteger,
                .sentence = "Coupling layers; two change every site once.",
                .default_value = 16,
                .min = 1,
                .max = 1024},
               {.name = "hidden",
                .type = KeyType::kIntegers,
                .sentence = "Channels of the hidden layers of each network.",
                .default_value = {8, 8},
                .min = 1,
                .max = 4096,
                .max_size = 32},
               {.name = "kernel",
                .type = KeyType::kInteger,
                .sentence = "Width of the convolutions in sites, odd.",
                .default_value = 3,
                .min = 1,
                .max = 63},
               {.name = "init_scale",
                .type = KeyType::kReal,
                .sentence = "Scales the last convolution's initial weights; 0 starts from the identity.",
                .default_value = 1.0,
                .min = 0,
                .max = 10}},
      .check = check,
  };
  return kKind;
}

AffineCouplingFlow::AffineCouplingFlow(const Section& section, std::size_t dimensions)
    : layers_(section.size("layers")),
      dimensions_(dimensions),
      kernel_(section.integer("kernel")),
      init_scale_(section.real("init_scale")),
      channels_(section.integers("hidden")) {
  channels_.insert(channels_.begin(), 1);
  channels_.push_back(2);
  const auto taps = static_cast<std::int64_t>(std::pow(kernel_, dimensions_));
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t conv = 0; conv + 1 < channels_.size(); ++conv) {
      const std::string name = "layers." + std::to_string(layer) + ".net." + std::to_string(conv);
      const std::int64_t in = channels_[conv];
      const std::int64_t out = channels_[conv + 1];
      Parameter weight{name + ".weight", {out, in}, in * taps};
      weight.shape.insert(weight.shape.end(), dimensions_, kernel_);
      parameters_.push_back(std::move(weight));
      parameters_.push_back({name + ".bias", {out}, in * taps});
    }
  }
}

std::size_t AffineCouplingFlow::parameter_count() const {
  std::size_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.size();
  return count;
}

void AffineCouplingFlow::refuse_other_count(std::size_t weights) const {
  if (weights == parameter_count()) return;
  throw Error(ErrorCode::kInternal,
              "A flow of " + std::to_string(parameter_count()) + " weights was given " + std::to_string(weights) + ".");
}

std::vector<double> AffineCouplingFlow::initial_weights(NoiseKey key) const {
  std::vector<double> weights(parameter_count());
  const std::size_t tensors_per_layer = 2 * (channels_.size() - 1);
  std::span<double> rest(weights);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::span<double> tensor = rest.first(parameters_[i].size());
    rest = rest.subspan(tensor.size());
    const bool last = i % tensors_per_layer >= tensors_per_layer - 2;
    const double bound = (last ? init_scale_ : 1.0) / std::sqrt(static_cast<double>(parameters_[i].fan_in));
    fill_uniform(key, Purpose::kInit, i, tensor);
    for (double& weight : tensor) weight = (2.0 * weight - 1.0) * bound;
  }
  return weights;
}

}  // namespace flowloom
