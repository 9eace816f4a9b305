// Affine couplings of a scalar field as LibTorch operations (flow/affine_coupling.h); a flow as flow/torch/flow.h says.
#pragma once

#include <array>

#include "flow/affine.h"
#include "flow/affine_coupling.h"
#include "flow/densities.h"
#include "flow/free_field.h"
#include "flow/torch/flow.h"

namespace flowloom::torch_engine {

template <class Theory>
class AffineFlow {
 public:
  using State = std::array<at::Tensor, 2>;  // by parity: each [site of the parity][sample], float64

  AffineFlow(const Theory& theory, const AffineCouplingFlow& architecture)
      : theory_(theory),
        architecture_(architecture),
        plan_(theory.geometry(), architecture.network(), AffineCouplingFlow::masks(theory.geometry())),
        extents_(theory.geometry().extents()) {
    std::vector<std::int64_t> merged(static_cast<std::size_t>(plan_.sites));
    std::int64_t place = 0;
    for (const CouplingSites& mask : AffineCouplingFlow::masks(theory.geometry())) {
      for (const std::uint32_t x : mask.outputs) merged[x] = place++;
    }
    merge_ = index_tensor(merged);
    if (architecture.prior() == Prior::kFreeField) {
      const FreeFieldBasis basis(theory.geometry());
      for (std::size_t mu = 0; mu < extents_.size(); ++mu) {
        cas_.push_back(at::tensor(at::ArrayRef<double>(basis.cas[mu]), at::kDouble).view({extents_[mu], extents_[mu]}));
      }
      khat2_ = at::tensor(at::ArrayRef<double>(basis.khat2), at::kDouble).unsqueeze(1);
    }
  }

  const TheorySums<Theory>& theory() const { return theory_; }
  const NetworkPlan& plan() const { return plan_; }

  State state(const at::Tensor& field) const {
    return {field.index_select(0, plan_.outputs[0]), field.index_select(0, plan_.outputs[1])};
  }
  at::Tensor whole(const State& x) const { return at::cat({x[0], x[1]}).index_select(0, merge_); }

  State noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    return state(
        samples_tensor(static_cast<std::size_t>(plan_.sites), count,
                       [&](std::size_t i, std::span<double> out) { fill_normal(key, purpose, first + i, out); }));
  }
  at::Tensor noise_log_density(const State& z) const {
    return normal_log_density(z[0]).sum(0) + normal_log_density(z[1]).sum(0) -
           kLogSqrtTwoPi * static_cast<double>(volume());
  }

  at::Tensor forward(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    if (const at::Tensor log_mass2 = log_mass2_of(weights); log_mass2.defined()) {
      log_det = log_det + apply_prior(log_mass2, x);
    }
    for (std::size_t layer = 0; layer < weights.networks.size(); ++layer) {
      const std::size_t active = plan_.mask_of(layer);
      const auto [s, t] = scale_and_shift(weights, layer, x[1 - active]);
      x[active] = affine_forward(x[active], s, t);
      log_det = log_det + s.sum(0);
    }
    if (const at::Tensor log_scale = log_scale_of(weights); log_scale.defined()) {
      for (at::Tensor& half : x) half = half * log_scale.exp();
      log_det = log_det + log_scale * static_cast<double>(volume());
    }
    return log_det;
  }

  at::Tensor inverse(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    if (const at::Tensor log_scale = log_scale_of(weights); log_scale.defined()) {
      for (at::Tensor& half : x) half = half * (-log_scale).exp();
      log_det = log_det - log_scale * static_cast<double>(volume());
    }
    for (std::size_t layer = weights.networks.size(); layer-- > 0;) {
      const std::size_t active = plan_.mask_of(layer);
      const auto [s, t] = scale_and_shift(weights, layer, x[1 - active]);
      x[active] = affine_inverse(x[active], s, t);
      log_det = log_det - s.sum(0);
    }
    if (const at::Tensor log_mass2 = log_mass2_of(weights); log_mass2.defined()) {
      log_det = log_det - apply_inverse_prior(log_mass2, x);
    }
    return log_det;
  }

  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) { return a - b; }

  // The same in one pass (arXiv:2403.15881): D = d log_q/dx is carried along with the field. For y = x e^s + t of the
  // active half, with vectors a (active) and f (frozen):
  //   D'_a = D_a e^-s,   D'_f = D_f - d(sum s)/dx_f - (dy/dx_f)^T D'_a
  // Then the layers are gone through backwards with G = D + dS/dx in place of a loss's slope.
  PathSlopes path(const Weights& weights, const State& z) const {
    const at::Tensor log_mass2 = log_mass2_of(weights), scale_weight = log_scale_of(weights);
    struct Layer {
      std::size_t active;
      at::Tensor frozen, s, t;   // with a graph from `frozen` and the layer's weights to s and t
      at::Tensor before, scale;  // of the active half: the variables, e^s
    };
    std::vector<Layer> layers;
    State x = z, d = {-z[0], -z[1]}, after_prior = z;
    at::Tensor log_q = noise_log_density(z);
    if (log_mass2.defined()) {
      log_q = log_q - apply_prior(log_mass2, after_prior).detach();
      for (std::size_t p = 0; p < 2; ++p) x[p] = after_prior[p].detach();
      apply_inverse_prior(log_mass2.detach(), d);  // the map is its own transpose
    }
    for (std::size_t i = 0; i < weights.networks.size(); ++i) {
      const std::size_t a = plan_.mask_of(i);
      const at::Tensor frozen = x[1 - a].detach().requires_grad_();
      const auto [s, t] = scale_and_shift(weights, i, frozen);
      const Layer layer{a, frozen, s, t, x[a], s.detach().exp()};
      x[a] = affine_forward(x[a], s.detach(), t.detach());
      d[a] = d[a] / layer.scale;
      d[1 - a] = d[1 - a] - torch::autograd::grad({s, t}, {frozen}, {1.0 + d[a] * layer.before * layer.scale, d[a]},
                                                  /*retain_graph=*/true)[0];
      log_q = log_q - s.detach().sum(0);
      layers.push_back(layer);
    }
    const at::Tensor log_scale = scale_weight.defined() ? scale_weight.detach() : at::zeros({1}, at::kDouble);
    const at::Tensor scale = log_scale.exp();
    log_q = log_q - log_scale * static_cast<double>(volume());
    const State field = {(x[0] * scale).requires_grad_(), (x[1] * scale).requires_grad_()};
    const at::Tensor action = theory_.action(whole(field));
    const auto force = torch::autograd::grad({action.sum()}, {field[0], field[1]});
    State g = {force[0] + d[0] / scale, force[1] + d[1] / scale};

    std::vector<at::Tensor> slopes(weights.leaves.size());
    std::size_t leaf = slopes.size();
    if (scale_weight.defined()) {
      slopes[--leaf] = ((g[0] * field[0]).sum() + (g[1] * field[1]).sum()).detach();
      for (at::Tensor& half : g) half = half * scale;
    }
    const std::size_t leaves_per_layer = (leaf - (log_mass2.defined() ? 1 : 0)) / layers.size();
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
    if (log_mass2.defined()) {
      const at::Tensor product = (after_prior[0] * g[0]).sum() + (after_prior[1] * g[1]).sum();
      slopes[0] = torch::autograd::grad({product}, {weights.leaves[0]})[0];
    }
    return {std::move(slopes), -action.detach() - log_q};
  }

 private:
  struct ScaleAndShift {
    at::Tensor s, t;  // [active site][sample], float64
  };

  std::size_t volume() const { return static_cast<std::size_t>(plan_.sites); }
  static at::Tensor log_mass2_of(const Weights& weights) { return weights.number("prior.log_mass2"); }
  static at::Tensor log_scale_of(const Weights& weights) { return weights.number("rescale.log"); }

  // s and t of a layer from its frozen variables [frozen site][sample] in float64.
  ScaleAndShift scale_and_shift(const Weights& weights, std::size_t layer, const at::Tensor& frozen) const {
    const bool z2 = architecture_.z2();
    // Rounded before it is mirrored, as everywhere.
    const at::Tensor own = frozen.to(weights.networks[layer].front().matrix.scalar_type()).unsqueeze(1);
    const at::Tensor x =
        evaluate(weights.networks[layer], plan_, plan_.mask_of(layer), z2 ? at::cat({own, -own}, 2) : own);
    const at::Tensor s = x.select(1, 0), t = x.select(1, 1);
    if (!z2) return {s, t};
    const auto with_mirrored_s = s.chunk(2, 1), with_mirrored_t = t.chunk(2, 1);
    return {even_part(with_mirrored_s[0], with_mirrored_s[1]), odd_part(with_mirrored_t[0], with_mirrored_t[1])};
  }

  // The free field's f(k), [mode][1].
  at::Tensor amplitudes(const at::Tensor& log_mass2) const { return free_field_amplitude(khat2_, log_mass2.exp()); }

  // A field [site][sample] to the modes of the free field, or back.
  at::Tensor transform(const at::Tensor& field) const {
    at::Tensor x = field;
    std::int64_t outer = 1;
    for (std::size_t mu = 0; mu < extents_.size(); ++mu) {
      x = at::matmul(cas_[mu], x.reshape({outer, extents_[mu], -1}));
      outer *= extents_[mu];
    }
    return x.reshape({plan_.sites, -1});
  }

  // The free field's map in place, and its inverse; both return the log_det of noise -> field, [1].
  at::Tensor apply_prior(const at::Tensor& log_mass2, State& x) const {
    const at::Tensor factors = amplitudes(log_mass2);
    x = state(transform(transform(whole(x)) * factors));
    return factors.log().sum(0);
  }
  at::Tensor apply_inverse_prior(const at::Tensor& log_mass2, State& x) const {
    const at::Tensor factors = amplitudes(log_mass2);
    x = state(transform(transform(whole(x)) / factors));
    return factors.log().sum(0);
  }

  TheorySums<Theory> theory_;
  AffineCouplingFlow architecture_;
  NetworkPlan plan_;
  std::vector<std::int64_t> extents_;
  at::Tensor merge_;             // [site] -> its place in (sites of parity 0, sites of parity 1)
  std::vector<at::Tensor> cas_;  // free-field prior: [mu]: [k][x]
  at::Tensor khat2_;             // [mode][1]
};

}  // namespace flowloom::torch_engine
