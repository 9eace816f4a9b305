// The LibTorch engine: the reference of every layer, and what trains.
//
// Threads: LibTorch is held to one thread; callers run units side by side. Nothing here is changed after
// construction. Bits: calls are cut into blocks of block_size() samples, so that `count` fixes every tensor's shape.
#include <malloc.h>

#include <algorithm>
#include <bit>

#include "flow/machine.h"
#include "flow/module.h"
#include "flow/torch/libtorch.h"
#include "flow/torch/network.h"
#include "spec/error.h"

namespace flowloom::torch_engine {
namespace {

// Samples at once: as many as keep a convolution's gathered input near the cache, within reason.
std::size_t block_size(const Tables& tables, const AffineCouplingFlow& architecture) {
  const auto& channels = architecture.channels();
  const std::int64_t widest = *std::max_element(channels.begin(), channels.end() - 1);
  const std::int64_t gathered = tables.sites * tables.taps * widest;
  return std::bit_floor(static_cast<std::size_t>(std::clamp<std::int64_t>((1 << 21) / gathered, 8, 256)));
}

at::ScalarType network_type(Precision precision) { return precision == Precision::kMixed ? at::kFloat : at::kDouble; }

std::vector<double> to_vector(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kDouble).contiguous();
  const double* data = plain.const_data_ptr<double>();
  return std::vector<double>(data, data + plain.numel());
}

// The weights as one leaf tensor per parameter.
std::vector<Convolution> leaves(const AffineCouplingFlow& architecture, std::span<const double> weights,
                                Precision precision, bool gradients) {
  architecture.refuse_other_count(weights.size());
  std::vector<at::Tensor> tensors;
  for (const Parameter& parameter : architecture.parameters()) {
    at::Tensor tensor = at::empty(parameter.shape, at::kDouble);
    std::copy_n(weights.begin(), parameter.size(), tensor.mutable_data_ptr<double>());
    weights = weights.subspan(parameter.size());
    tensors.push_back(tensor.to(network_type(precision)).requires_grad_(gradients));
  }
  std::vector<Convolution> convolutions;
  for (std::size_t i = 0; i < tensors.size(); i += 2) convolutions.push_back({tensors[i], tensors[i + 1]});
  return convolutions;
}

std::vector<Network> networks_of(const AffineCouplingFlow& architecture, const std::vector<Convolution>& convolutions) {
  const std::size_t length = architecture.channels().size() - 1;
  std::vector<Network> networks(architecture.layers());
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    networks[i / length].push_back(convolutions[i].prepared());
  }
  return networks;
}

// The variables by parity: each [site of the parity][sample], float64.
using Halves = std::array<at::Tensor, 2>;

template <class Theory>
class Flow {
 public:
  Flow(const Theory& theory, const AffineCouplingFlow& architecture)
      : theory_(theory), tables_(theory.geometry(), architecture.kernel()), block_(block_size(tables_, architecture)) {}

  std::size_t block() const { return block_; }
  std::size_t volume() const { return static_cast<std::size_t>(tables_.sites); }

  // [sample][site] to halves and back.
  Halves halves(std::span<const double> fields) const {
    at::Tensor all = at::empty({static_cast<std::int64_t>(fields.size()) / tables_.sites, tables_.sites}, at::kDouble);
    std::copy(fields.begin(), fields.end(), all.mutable_data_ptr<double>());
    all = all.t().contiguous();
    return {all.index_select(0, tables_.of_parity[0]), all.index_select(0, tables_.of_parity[1])};
  }
  at::Tensor whole(const Halves& x) const { return at::cat({x[0], x[1]}).index_select(0, tables_.merge); }

  // The prior's draws at these addresses.
  Halves noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    std::vector<double> z(count * volume());
    for (std::size_t i = 0; i < count; ++i) {
      fill_normal(key, purpose, first + i, std::span(z).subspan(i * volume(), volume()));
    }
    return halves(z);
  }

  // Noise to field in place; returns log_det of this map, [sample].
  static at::Tensor forward(const std::vector<Network>& networks, const Tables& tables, Halves& x) {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    for (std::size_t layer = 0; layer < networks.size(); ++layer) {
      const auto active = static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
      const auto [s, t] = evaluate(networks[layer], tables, active, x[1 - active]);
      x[active] = affine_forward(x[active], s, t);
      log_det = log_det + s.sum(0);
    }
    return log_det;
  }

  // Field to noise in place; returns log_det of this map, [sample].
  static at::Tensor inverse(const std::vector<Network>& networks, const Tables& tables, Halves& x) {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    for (std::size_t layer = networks.size(); layer-- > 0;) {
      const auto active = static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
      const auto [s, t] = evaluate(networks[layer], tables, active, x[1 - active]);
      x[active] = affine_inverse(x[active], s, t);
      log_det = log_det - s.sum(0);
    }
    return log_det;
  }

  at::Tensor prior_log_density(const Halves& z) const {
    return normal_log_density(z[0]).sum(0) + normal_log_density(z[1]).sum(0) -
           kLogSqrtTwoPi * static_cast<double>(volume());
  }

  // The theory's sums over sites of a field [site][sample], each [sample].
  std::array<at::Tensor, Theory::kSums> sums(const at::Tensor& field) const {
    at::Tensor forward_sum = field.index_select(0, tables_.forward[0]);
    for (std::size_t mu = 1; mu < tables_.forward.size(); ++mu) {
      forward_sum = forward_sum + field.index_select(0, tables_.forward[mu]);
    }
    auto local = Theory::densities(field, forward_sum);
    for (at::Tensor& density : local) density = density.sum(0);
    return local;
  }

  const Theory& theory() const { return theory_; }
  const Tables& tables() const { return tables_; }

 private:
  Theory theory_;
  Tables tables_;
  std::size_t block_;
};

template <class Theory>
class TorchModel final : public Model {
 public:
  TorchModel(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights,
             Precision precision)
      : flow_(theory, architecture),
        networks_(networks_of(architecture, leaves(architecture, weights, precision, false))) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const override {
    const c10::InferenceMode inference;
    at::init_num_threads();
    const std::size_t volume = flow_.volume();
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(count * volume)};
    const auto put = [](const at::Tensor& tensor, std::vector<double>& out, std::size_t at) {
      const std::vector<double> values = to_vector(tensor);
      std::copy(values.begin(), values.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    };
    for (std::size_t begin = 0; begin < count; begin += flow_.block()) {
      Halves x = flow_.noise(key, purpose, first + begin, std::min(flow_.block(), count - begin));
      const at::Tensor log_prior = flow_.prior_log_density(x);
      const at::Tensor log_det = flow_.forward(networks_, flow_.tables(), x);
      const at::Tensor field = flow_.whole(x);
      const auto sums = flow_.sums(field);
      put(-flow_.theory().action(sums), draws.log_p, begin);
      put(log_prior - log_det, draws.log_q, begin);
      for (std::size_t k = 0; k < Theory::kSums; ++k) put(sums[k], draws.sums, k * count + begin);
      put(field.t(), draws.fields, begin * volume);
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const c10::InferenceMode inference;
    at::init_num_threads();
    const std::size_t volume = flow_.volume();
    const std::size_t count = fields.size() / volume;
    Densities densities;
    for (std::size_t begin = 0; begin < count; begin += flow_.block()) {
      const Halves given =
          flow_.halves(fields.subspan(begin * volume, std::min(flow_.block(), count - begin) * volume));
      Halves x = given;
      const at::Tensor log_det = flow_.inverse(networks_, flow_.tables(), x);
      const at::Tensor log_q = flow_.prior_log_density(x) + log_det;
      flow_.forward(networks_, flow_.tables(), x);
      const at::Tensor gap = at::maximum((x[0] - given[0]).abs().amax(0), (x[1] - given[1]).abs().amax(0));
      for (const double value : to_vector(log_q)) densities.log_q.push_back(value);
      for (const double value : to_vector(gap)) densities.round_trip.push_back(value);
    }
    return densities;
  }

 private:
  Flow<Theory> flow_;
  std::vector<Network> networks_;
};

template <class Theory>
class TorchObjective final : public Objective {
 public:
  TorchObjective(const Theory& theory, const AffineCouplingFlow& architecture, Precision precision)
      : flow_(theory, architecture), architecture_(architecture), precision_(precision) {}

  Gradient reverse_kl(std::span<const double> weights, NoiseKey key, std::uint64_t first,
                      std::size_t count) const override {
    at::init_num_threads();
    const at::AutoGradMode gradients(true);
    Gradient gradient{std::vector<double>(weights.size()), {}};
    for (std::size_t begin = 0; begin < count; begin += flow_.block()) {
      add_block(gradient, weights, key, first + begin, std::min(flow_.block(), count - begin));
    }
    return gradient;
  }

 private:
  void add_block(Gradient& gradient, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                 std::size_t count) const {
    const std::vector<Convolution> convolutions = leaves(architecture_, weights, precision_, true);
    Halves x = flow_.noise(key, Purpose::kTrain, first, count);
    const at::Tensor log_prior = flow_.prior_log_density(x);
    const at::Tensor log_det = flow_.forward(networks_of(architecture_, convolutions), flow_.tables(), x);
    const at::Tensor action = flow_.theory().action(flow_.sums(flow_.whole(x)));
    const at::Tensor log_q = log_prior - log_det;
    std::vector<at::Tensor> parameters;
    for (const Convolution& convolution : convolutions) {
      parameters.push_back(convolution.weight);
      parameters.push_back(convolution.bias);
    }
    const auto slopes = torch::autograd::grad({(log_q + action).sum()}, parameters);
    auto sum = gradient.sum.begin();
    for (const at::Tensor& slope : slopes) {
      for (const double value : to_vector(slope)) *sum++ += value;
    }
    for (const double value : to_vector((-action - log_q).detach())) gradient.log_w.push_back(value);
  }

  Flow<Theory> flow_;
  AffineCouplingFlow architecture_;
  Precision precision_;
};

class TorchEngine final : public Engine {
 public:
  TorchEngine() {
    at::set_num_threads(1);
    // Every layer allocates and frees a few megabytes; giving them back to the system each time costs 10 %.
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
  }

  std::string name() const override { return "torch"; }
  std::string build() const override {
    return "libtorch " TORCH_VERSION " " + at::get_cpu_capability() + ", " + machine_build();
  }

  std::unique_ptr<Model> model(const AnyTheory& any_theory, const AffineCouplingFlow& architecture,
                               std::span<const double> weights, Precision precision) const override {
    return std::visit(
        [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Model> {
          return std::make_unique<TorchModel<Theory>>(theory, architecture, weights, precision);
        },
        any_theory);
  }

  std::unique_ptr<Objective> objective(const AnyTheory& any_theory, const AffineCouplingFlow& architecture,
                                       Precision precision) const override {
    return std::visit(
        [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Objective> {
          return std::make_unique<TorchObjective<Theory>>(theory, architecture, precision);
        },
        any_theory);
  }
};

}  // namespace
}  // namespace flowloom::torch_engine

const char* flowloom_engine_interface() { return flowloom::kEngineInterface; }

flowloom::Engine* flowloom_engine_create() { return std::make_unique<flowloom::torch_engine::TorchEngine>().release(); }
