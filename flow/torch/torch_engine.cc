// The LibTorch engine: the reference of every layer, and what trains.
//
// Threads: LibTorch is held to one thread; callers run units side by side. Nothing here is changed after
// construction. Bits: calls are cut into blocks of block_size() samples, so that `count` fixes every tensor's shape.
#include <malloc.h>

#include <algorithm>
#include <bit>

#include "flow/module.h"
#include "flow/torch/libtorch.h"
#include "flow/torch/machine.h"
#include "flow/torch/network.h"
#include "spec/error.h"

namespace flowloom::torch_engine {
namespace {

// Samples at once: as many as keep a convolution's gathered input near the cache, within reason.
std::size_t block_size(const Plan& plan) {
  const auto& channels = plan.architecture.channels();
  const std::int64_t widest = *std::max_element(channels.begin(), channels.end() - 1);
  const std::int64_t gathered = plan.sites * plan.taps * widest;
  return std::bit_floor(static_cast<std::size_t>(std::clamp<std::int64_t>((1 << 21) / gathered, 8, 256)));
}

std::vector<double> to_vector(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kDouble).contiguous();
  const double* data = plain.const_data_ptr<double>();
  return std::vector<double>(data, data + plain.numel());
}

// The variables by parity: each [site of the parity][sample], float64.
using Halves = std::array<at::Tensor, 2>;

template <class Theory>
class Flow {
 public:
  Flow(const Theory& theory, const AffineCouplingFlow& architecture)
      : theory_(theory), plan_(theory.geometry(), architecture), block_(block_size(plan_)) {}

  std::size_t block() const { return block_; }
  std::size_t volume() const { return static_cast<std::size_t>(plan_.sites); }

  // [sample][site] to halves; [site][sample] to halves and back.
  Halves halves(std::span<const double> fields) const {
    at::Tensor all = at::empty({static_cast<std::int64_t>(fields.size()) / plan_.sites, plan_.sites}, at::kDouble);
    std::copy(fields.begin(), fields.end(), all.mutable_data_ptr<double>());
    return split(all.t().contiguous());
  }
  Halves split(const at::Tensor& field) const {
    return {field.index_select(0, plan_.of_parity[0]), field.index_select(0, plan_.of_parity[1])};
  }
  at::Tensor whole(const Halves& x) const { return at::cat({x[0], x[1]}).index_select(0, plan_.merge); }

  // Standard normals at these addresses.
  Halves noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    std::vector<double> z(count * volume());
    for (std::size_t i = 0; i < count; ++i) {
      fill_normal(key, purpose, first + i, std::span(z).subspan(i * volume(), volume()));
    }
    return halves(z);
  }
  at::Tensor noise_log_density(const Halves& z) const {
    return normal_log_density(z[0]).sum(0) + normal_log_density(z[1]).sum(0) -
           kLogSqrtTwoPi * static_cast<double>(volume());
  }

  // Noise to field in place; returns log_det of this map, [sample].
  at::Tensor forward(const Weights& weights, Halves& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    if (weights.log_mass2.defined()) log_det = log_det + apply_prior(weights.log_mass2, x);
    for (std::size_t layer = 0; layer < weights.networks.size(); ++layer) {
      const std::size_t active = active_half(layer);
      const auto [s, t] = evaluate(weights.networks[layer], plan_, active, x[1 - active]);
      x[active] = affine_forward(x[active], s, t);
      log_det = log_det + s.sum(0);
    }
    if (weights.log_scale.defined()) {
      for (at::Tensor& half : x) half = half * weights.log_scale.exp();
      log_det = log_det + weights.log_scale * static_cast<double>(volume());
    }
    return log_det;
  }

  // Field to noise in place; returns log_det of this map, [sample].
  at::Tensor inverse(const Weights& weights, Halves& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    if (weights.log_scale.defined()) {
      for (at::Tensor& half : x) half = half * (-weights.log_scale).exp();
      log_det = log_det - weights.log_scale * static_cast<double>(volume());
    }
    for (std::size_t layer = weights.networks.size(); layer-- > 0;) {
      const std::size_t active = active_half(layer);
      const auto [s, t] = evaluate(weights.networks[layer], plan_, active, x[1 - active]);
      x[active] = affine_inverse(x[active], s, t);
      log_det = log_det - s.sum(0);
    }
    if (weights.log_mass2.defined()) log_det = log_det - apply_inverse_prior(weights.log_mass2, x);
    return log_det;
  }

  // The free field's map in place, and its inverse; both return the log_det of noise -> field, [1].
  at::Tensor apply_prior(const at::Tensor& log_mass2, Halves& x) const {
    const at::Tensor amplitudes = free_field_amplitudes(plan_, log_mass2);
    x = split(transform(plan_, transform(plan_, whole(x)) * amplitudes));
    return amplitudes.log().sum(0);
  }
  at::Tensor apply_inverse_prior(const at::Tensor& log_mass2, Halves& x) const {
    const at::Tensor amplitudes = free_field_amplitudes(plan_, log_mass2);
    x = split(transform(plan_, transform(plan_, whole(x)) / amplitudes));
    return amplitudes.log().sum(0);
  }

  static std::size_t active_half(std::size_t layer) {
    return static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
  }

  // The theory's sums over sites of a field [site][sample], each [sample].
  std::array<at::Tensor, Theory::kSums> sums(const at::Tensor& field) const {
    at::Tensor forward_sum = field.index_select(0, plan_.forward[0]);
    for (std::size_t mu = 1; mu < plan_.forward.size(); ++mu) {
      forward_sum = forward_sum + field.index_select(0, plan_.forward[mu]);
    }
    auto local = LocalDensities<Theory>::at(field, forward_sum);
    for (at::Tensor& density : local) density = density.sum(0);
    return local;
  }

  // S of a field [site][sample], [sample].
  at::Tensor action(const at::Tensor& field) const { return theory_.action(sums(field)); }

  const Theory& theory() const { return theory_; }
  const Plan& plan() const { return plan_; }

 private:
  Theory theory_;
  Plan plan_;
  std::size_t block_;
};

template <class Theory>
class TorchModel final : public Model {
 public:
  TorchModel(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights,
             Precision precision)
      : flow_(theory, architecture), weights_(architecture, weights, precision, false) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    const c10::InferenceMode inference;
    at::init_num_threads();
    const std::size_t volume = flow_.volume();
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(fields == Fields::kKept ? count * volume : 0)};
    const auto put = [](const at::Tensor& tensor, std::vector<double>& out, std::size_t at) {
      const std::vector<double> values = to_vector(tensor);
      std::copy(values.begin(), values.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    };
    for (std::size_t begin = 0; begin < count; begin += flow_.block()) {
      Halves x = flow_.noise(key, purpose, first + begin, std::min(flow_.block(), count - begin));
      const at::Tensor log_noise = flow_.noise_log_density(x);
      const at::Tensor log_det = flow_.forward(weights_, x);
      const at::Tensor field = flow_.whole(x);
      const auto sums = flow_.sums(field);
      put(-flow_.theory().action(sums), draws.log_p, begin);
      put(log_noise - log_det, draws.log_q, begin);
      for (std::size_t k = 0; k < Theory::kSums; ++k) put(sums[k], draws.sums, k * count + begin);
      if (fields == Fields::kKept) put(field.t(), draws.fields, begin * volume);
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
      for (const double action : to_vector(flow_.action(flow_.whole(given)))) densities.log_p.push_back(-action);
      Halves x = given;
      const at::Tensor log_det = flow_.inverse(weights_, x);
      const at::Tensor log_q = flow_.noise_log_density(x) + log_det;
      flow_.forward(weights_, x);
      const at::Tensor gap = at::maximum((x[0] - given[0]).abs().amax(0), (x[1] - given[1]).abs().amax(0));
      for (const double value : to_vector(log_q)) densities.log_q.push_back(value);
      for (const double value : to_vector(gap)) densities.round_trip.push_back(value);
    }
    return densities;
  }

 private:
  Flow<Theory> flow_;
  Weights weights_;
};

template <class Theory>
class TorchObjective final : public Objective {
 public:
  TorchObjective(const Theory& theory, const AffineCouplingFlow& architecture, Precision precision)
      : flow_(theory, architecture), precision_(precision) {}

  Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                      std::size_t count) const override {
    return in_blocks(weights, count, [&](const Weights& tensors, std::size_t begin, std::size_t size) {
      const Halves z = flow_.noise(key, Purpose::kTrain, first + begin, size);
      switch (estimator) {
        case Estimator::kPath:
          return path(tensors, z);
        case Estimator::kPathTwoPass:
          return path_two_pass(tensors, z);
        case Estimator::kReparameterised:
          break;
      }
      return reparameterised(tensors, z);
    });
  }

  Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
    const std::size_t volume = flow_.volume();
    return in_blocks(weights, fields.size() / volume, [&](const Weights& tensors, std::size_t begin, std::size_t size) {
      Halves x = flow_.halves(fields.subspan(begin * volume, size * volume));
      const at::Tensor action = flow_.action(flow_.whole(x));
      const at::Tensor log_det = flow_.inverse(tensors, x);
      const at::Tensor log_q = flow_.noise_log_density(x) + log_det;
      return Block{slopes_of(-log_q.sum(), tensors), -action - log_q};
    });
  }

 private:
  struct Block {
    std::vector<at::Tensor> slopes;  // of the sum over samples, for each leaf
    at::Tensor log_w;                // [sample]
  };

  template <class Work>
  Gradient in_blocks(std::span<const double> weights, std::size_t count, Work work) const {
    at::init_num_threads();
    const at::AutoGradMode gradients(true);
    Gradient gradient{std::vector<double>(weights.size()), {}};
    for (std::size_t begin = 0; begin < count; begin += flow_.block()) {
      const Weights tensors(flow_.plan().architecture, weights, precision_, true);
      const Block block = work(tensors, begin, std::min(flow_.block(), count - begin));
      auto sum = gradient.sum.begin();
      for (const at::Tensor& slope : block.slopes) {
        for (const double value : to_vector(slope)) *sum++ += value;
      }
      for (const double value : to_vector(block.log_w.detach())) gradient.log_w.push_back(value);
    }
    return gradient;
  }

  static std::vector<at::Tensor> slopes_of(const at::Tensor& loss, const Weights& weights) {
    return torch::autograd::grad({loss}, weights.leaves);
  }

  // d/dw of log_q + S with the noise held fixed, by autograd through everything.
  Block reparameterised(const Weights& weights, const Halves& z) const {
    Halves x = z;
    const at::Tensor log_noise = flow_.noise_log_density(x);
    const at::Tensor log_det = flow_.forward(weights, x);
    const at::Tensor action = flow_.action(flow_.whole(x));
    const at::Tensor log_q = log_noise - log_det;
    return {slopes_of((log_q + action).sum(), weights), -action - log_q};
  }

  // The path gradient G(x) dx/dw, G = d(log_q + S)/dx at fixed weights, as its definition says: to the field, back by the
  // inverse for G, and to the field again (arXiv:2207.08219). What `path` is tested against.
  Block path_two_pass(const Weights& weights, const Halves& z) const {
    Halves fixed = z;
    {
      const at::NoGradGuard no_gradient;
      flow_.forward(weights, fixed);
    }
    for (at::Tensor& half : fixed) half.requires_grad_();
    Halves back = fixed;
    const at::Tensor action = flow_.action(flow_.whole(fixed));
    const at::Tensor log_det = flow_.inverse(weights, back);
    const at::Tensor log_q = flow_.noise_log_density(back) + log_det;
    const auto force = torch::autograd::grad({(log_q + action).sum()}, {fixed[0], fixed[1]});
    Halves x = z;
    flow_.forward(weights, x);
    return {slopes_of((x[0] * force[0]).sum() + (x[1] * force[1]).sum(), weights), -action - log_q};
  }

  // The same in one pass (arXiv:2403.15881): D = d log_q/dx is carried along with the field. For y = x e^s + t of the active
  // half, with vectors a (active) and f (frozen):
  //   D'_a = D_a e^-s,   D'_f = D_f - d(sum s)/dx_f - (dy/dx_f)^T D'_a
  // Then the layers are gone through backwards with G = D + dS/dx in place of a loss's slope.
  Block path(const Weights& weights, const Halves& z) const {
    struct Layer {
      std::size_t active;
      at::Tensor frozen, s, t;   // with a graph from `frozen` and the layer's weights to s and t
      at::Tensor before, scale;  // of the active half: the variables, e^s
    };
    std::vector<Layer> layers;
    Halves x = z, d = {-z[0], -z[1]}, after_prior = z;
    at::Tensor log_q = flow_.noise_log_density(z);
    if (weights.log_mass2.defined()) {
      log_q = log_q - flow_.apply_prior(weights.log_mass2, after_prior).detach();
      for (std::size_t p = 0; p < 2; ++p) x[p] = after_prior[p].detach();
      flow_.apply_inverse_prior(weights.log_mass2.detach(), d);  // the map is its own transpose
    }
    for (std::size_t i = 0; i < weights.networks.size(); ++i) {
      const std::size_t a = Flow<Theory>::active_half(i);
      const at::Tensor frozen = x[1 - a].detach().requires_grad_();
      const auto [s, t] = evaluate(weights.networks[i], flow_.plan(), a, frozen);
      const Layer layer{a, frozen, s, t, x[a], s.detach().exp()};
      x[a] = affine_forward(x[a], s.detach(), t.detach());
      d[a] = d[a] / layer.scale;
      d[1 - a] = d[1 - a] - torch::autograd::grad({s, t}, {frozen}, {1.0 + d[a] * layer.before * layer.scale, d[a]},
                                                  /*retain_graph=*/true)[0];
      log_q = log_q - s.detach().sum(0);
      layers.push_back(layer);
    }
    const at::Tensor log_scale = weights.log_scale.defined() ? weights.log_scale.detach() : at::zeros({1}, at::kDouble);
    const at::Tensor scale = log_scale.exp();
    log_q = log_q - log_scale * static_cast<double>(flow_.volume());
    const Halves field = {(x[0] * scale).requires_grad_(), (x[1] * scale).requires_grad_()};
    const at::Tensor action = flow_.action(flow_.whole(field));
    const auto force = torch::autograd::grad({action.sum()}, {field[0], field[1]});
    Halves g = {force[0] + d[0] / scale, force[1] + d[1] / scale};

    std::vector<at::Tensor> slopes(weights.leaves.size());
    std::size_t leaf = slopes.size();
    if (weights.log_scale.defined()) {
      slopes[--leaf] = ((g[0] * field[0]).sum() + (g[1] * field[1]).sum()).detach();
      for (at::Tensor& half : g) half = half * scale;
    }
    const std::size_t leaves_per_layer = (leaf - (weights.log_mass2.defined() ? 1 : 0)) / layers.size();
    for (; !layers.empty(); layers.pop_back()) {
      const auto& [a, frozen, s, t, before, e_s] = layers.back();
      leaf -= leaves_per_layer;
      std::vector<at::Tensor> inputs(weights.leaves.begin() + static_cast<std::ptrdiff_t>(leaf),
                                     weights.leaves.begin() + static_cast<std::ptrdiff_t>(leaf + leaves_per_layer));
      inputs.push_back(frozen);
      auto pulled_back = torch::autograd::grad({s, t}, inputs, {g[a] * before * e_s, g[a]});
      g[1 - a] = g[1 - a] + pulled_back.back();
      g[a] = g[a] * e_s;
      pulled_back.pop_back();
      std::move(pulled_back.begin(), pulled_back.end(), slopes.begin() + static_cast<std::ptrdiff_t>(leaf));
    }
    if (weights.log_mass2.defined()) {
      const at::Tensor product = (after_prior[0] * g[0]).sum() + (after_prior[1] * g[1]).sum();
      slopes[0] = torch::autograd::grad({product}, {weights.leaves[0]})[0];
    }
    return {std::move(slopes), -action.detach() - log_q};
  }

  Flow<Theory> flow_;
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

  std::string device() const override { return "cpu"; }

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

flowloom::Engine* flowloom_engine_create(const char*) {
  return std::make_unique<flowloom::torch_engine::TorchEngine>().release();
}
