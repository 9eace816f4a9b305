#include "flow/network_shape.h"

#include <algorithm>
#include <numeric>

#include "spec/error.h"

namespace flowloom {

std::size_t Parameter::size() const {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<std::int64_t>()));
}

NetworkShape::NetworkShape(const Section& section, std::int64_t in, std::int64_t out, Activation output_)
    : channels(section.integers("hidden")),
      kernel(section.integer("kernel")),
      dilation(section.integers("dilation")),
      bias(section.flag("bias")),
      activation(activation_named(section.text("activation"))),
      output(output_) {
  channels.insert(channels.begin(), in);
  channels.push_back(out);
  if (dilation.size() == 1) dilation.assign(convolutions(), dilation[0]);
}

std::string NetworkShape::only_torch() const {
  for (const Activation own : {activation, output}) {
    if (is_only_torchs(own)) return std::string("activation ") + kActivationNames[static_cast<std::size_t>(own)];
  }
  return "";
}

std::vector<Parameter> NetworkShape::parameters(const std::string& prefix, std::size_t dimensions,
                                                double init_scale) const {
  std::int64_t taps = 1;
  for (std::size_t mu = 0; mu < dimensions; ++mu) taps *= kernel;
  std::vector<Parameter> parameters;
  for (std::size_t conv = 0; conv < convolutions(); ++conv) {
    const std::string name = prefix + std::to_string(conv);
    const std::int64_t in = channels[conv], out = channels[conv + 1];
    const double scale = conv + 1 == convolutions() ? init_scale : 1;
    Parameter weight{name + ".weight", {out, in}, in * taps, scale};
    weight.shape.insert(weight.shape.end(), dimensions, kernel);
    parameters.push_back(std::move(weight));
    if (bias) parameters.push_back({name + ".bias", {out}, in * taps, scale});
  }
  return parameters;
}

std::vector<Key> network_keys() {
  return {
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
      {.name = "dilation",
       .type = KeyType::kIntegers,
       .sentence = "Sites from one tap of a convolution to the next: one number for all convolutions of a "
                   "network, or one for each.",
       .default_value = {1},
       .min = 1,
       .max = 64,
       .min_size = 1,
       .max_size = 33},
      {.name = "bias",
       .type = KeyType::kFlag,
       .sentence = "Whether the convolutions have a bias.",
       .default_value = true},
      {.name = "activation",
       .type = KeyType::kText,
       .sentence =
           "Between the convolutions; leaky-relu has the slope 0.01 below zero, silu is x / (1 + e^-x), gelu is "
           "x (1 + erf(x / sqrt 2)) / 2 and LibTorch's alone.",
       .default_value = "leaky-relu",
       .choices = {"leaky-relu", "relu", "tanh", "silu", "gelu"}},
      {.name = "init_scale",
       .type = KeyType::kReal,
       .sentence = "Scales the last convolution's initial weights; 0 starts from the identity.",
       .default_value = 1.0,
       .min = 0,
       .max = 10},
  };
}

void check_network(const Section& flow, const Geometry& geometry) {
  const std::int64_t kernel = flow.integer("kernel");
  if (kernel % 2 == 0) {
    throw Error(ErrorCode::kInvalidInput, flow.where("kernel") + " = " + std::to_string(kernel) +
                                              " must be odd, so that the convolution is centred.");
  }
  const std::vector<std::int64_t> dilation = flow.integers("dilation");
  const std::size_t convolutions = flow.integers("hidden").size() + 1;
  if (dilation.size() != 1 && dilation.size() != convolutions) {
    throw Error(ErrorCode::kInvalidInput, flow.where("dilation") + " = " + flow.values().at("dilation").dump() +
                                              ": give one number for all convolutions or " +
                                              std::to_string(convolutions) + ", one for each.");
  }
  const std::int64_t widest = *std::max_element(dilation.begin(), dilation.end());
  for (const std::int64_t extent : geometry.extents()) {
    const std::int64_t fits = (extent - 1) / widest + 1;
    if (kernel <= fits) continue;
    throw Error(ErrorCode::kInvalidInput, flow.where("kernel") + " = " + std::to_string(kernel) +
                                              (widest == 1 ? "" : " with dilation " + std::to_string(widest)) +
                                              " is wider than the lattice; use at most " +
                                              std::to_string(fits - 1 + fits % 2) + ".");
  }
}

}  // namespace flowloom
