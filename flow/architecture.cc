#include "flow/architecture.h"

#include <algorithm>
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
  const std::vector<std::int64_t> dilation = run.flow.integers("dilation");
  const std::size_t convolutions = run.flow.integers("hidden").size() + 1;
  if (dilation.size() != 1 && dilation.size() != convolutions) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where("dilation") + " = " + run.flow.values().at("dilation").dump() +
                                              ": give one number for all convolutions or " +
                                              std::to_string(convolutions) + ", one for each.");
  }
  const std::int64_t widest = *std::max_element(dilation.begin(), dilation.end());
  for (const std::int64_t extent : geometry.extents()) {
    const std::int64_t fits = (extent - 1) / widest + 1;
    if (kernel <= fits) continue;
    throw Error(ErrorCode::kInvalidInput, run.flow.where("kernel") + " = " + std::to_string(kernel) +
                                              (widest == 1 ? "" : " with dilation " + std::to_string(widest)) +
                                              " is wider than the lattice; use at most " +
                                              std::to_string(fits - 1 + fits % 2) + ".");
  }
  if (run.flow.text("symmetry") == "z2" && convolutions == 1 && !run.flow.flag("bias")) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where("symmetry") +
                                              " = \"z2\": without hidden layers and bias every s is odd, and its even "
                                              "part, which the symmetry keeps, is zero; use a hidden layer or a bias.");
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
      .sentence =
          "Checkerboard affine couplings (on lattices of even extents) whose s and t come from circular convolution "
          "networks.",
      .keys =
          {{.name = "prior",
            .type = KeyType::kText,
            .sentence = "normal: independent standard normals. free-field: the free theory of action form A with a "
                        "learnt mass (arXiv:2211.07541).",
            .default_value = "normal",
            .choices = {"normal", "free-field"}},
           {.name = "prior_mass2",
            .type = KeyType::kReal,
            .sentence = "prior = \"free-field\": the mass squared that training starts from, in lattice units.",
            .default_value = 1.0,
            .min = 0,
            .max = 1e6,
            .above_min = true},
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
           {.name = "output",
            .type = KeyType::kText,
            .sentence = "On s and t, after the last convolution.",
            .default_value = "tanh",
            .choices = {"tanh", "identity"}},
           {.name = "symmetry",
            .type = KeyType::kText,
            .sentence = "z2: s is even and t is odd in the frozen variables, so that the flow has the symmetry phi -> "
                        "-phi exactly; its networks are evaluated twice.",
            .default_value = "none",
            .choices = {"none", "z2"}},
           {.name = "rescale",
            .type = KeyType::kFlag,
            .sentence = "A last layer that multiplies all variables by one learnt factor.",
            .default_value = false},
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
    : prior_(section.text("prior") == "free-field" ? Prior::kFreeField : Prior::kNormal),
      prior_mass2_(section.real("prior_mass2")),
      layers_(section.size("layers")),
      dimensions_(dimensions),
      channels_(section.integers("hidden")),
      kernel_(section.integer("kernel")),
      dilation_(section.integers("dilation")),
      bias_(section.flag("bias")),
      activation_(activation_named(section.text("activation"))),
      output_(activation_named(section.text("output"))),
      z2_(section.text("symmetry") == "z2"),
      rescales_(section.flag("rescale")),
      init_scale_(section.real("init_scale")) {
  channels_.insert(channels_.begin(), 1);
  channels_.push_back(2);
  if (dilation_.size() == 1) dilation_.assign(convolutions(), dilation_[0]);
  if (prior_ == Prior::kFreeField) parameters_.push_back({"prior.log_mass2", {1}});
  std::int64_t taps = 1;
  for (std::size_t mu = 0; mu < dimensions_; ++mu) taps *= kernel_;
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t conv = 0; conv < convolutions(); ++conv) {
      const std::string name = "layers." + std::to_string(layer) + ".net." + std::to_string(conv);
      const std::int64_t in = channels_[conv];
      const std::int64_t out = channels_[conv + 1];
      Parameter weight{name + ".weight", {out, in}, in * taps};
      weight.shape.insert(weight.shape.end(), dimensions_, kernel_);
      parameters_.push_back(std::move(weight));
      if (bias_) parameters_.push_back({name + ".bias", {out}, in * taps});
    }
  }
  if (rescales_) parameters_.push_back({"rescale.log", {1}});
}

std::string AffineCouplingFlow::only_torch() const {
  for (const Activation activation : {activation_, output_}) {
    if (is_only_torchs(activation)) {
      return std::string("activation ") + kActivationNames[static_cast<std::size_t>(activation)];
    }
  }
  return "";
}

bool AffineCouplingFlow::couples() const {
  return kernel_ > 1 && std::any_of(dilation_.begin(), dilation_.end(), [](std::int64_t d) { return d % 2 != 0; });
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
  const std::string last = ".net." + std::to_string(convolutions() - 1) + ".";
  std::span<double> rest(weights);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const std::span<double> tensor = rest.first(parameter.size());
    rest = rest.subspan(tensor.size());
    if (parameter.fan_in == 0) {
      tensor[0] = prior_ == Prior::kFreeField && i == 0 ? log(prior_mass2_) : 0.0;
      continue;
    }
    const bool scaled = parameter.name.find(last) != std::string::npos;
    const double bound = (scaled ? init_scale_ : 1.0) / std::sqrt(static_cast<double>(parameter.fan_in));
    fill_uniform(key, Purpose::kInit, i, tensor);
    for (double& weight : tensor) weight = (2.0 * weight - 1.0) * bound;
  }
  return weights;
}

}  // namespace flowloom
