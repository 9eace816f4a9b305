#include "plain_torch.h"

#include <malloc.h>
#include <torch/optim/adam.h>

#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "flow/torch/libtorch.h"

namespace flowloom {
namespace {

struct Plain {
  std::vector<std::vector<at::Tensor>> weights;  // [layer][weight, bias, ...]
  std::vector<std::int64_t> extents, padding;
  at::Tensor mask;  // 1 on the sites that even layers change

  at::Tensor network(const at::Tensor& frozen, std::size_t layer) const {
    at::Tensor x = frozen.to(at::kFloat);
    const auto& own = weights[layer];
    for (std::size_t i = 0; i < own.size(); i += 2) {
      x = at::pad(x, padding, "circular");
      x = extents.size() == 2 ? at::conv2d(x, own[i], own[i + 1]) : at::conv3d(x, own[i], own[i + 1]);
      x = i + 2 < own.size() ? at::leaky_relu(x) : at::tanh(x);
    }
    return x.to(at::kDouble);
  }

  std::vector<std::int64_t> sites() const {  // the axes of a field [sample][1][site...] that are the lattice's
    std::vector<std::int64_t> axes;
    for (std::size_t d = 0; d <= extents.size(); ++d) axes.push_back(static_cast<std::int64_t>(d) + 1);
    return axes;
  }

  at::Tensor noise(std::size_t count) const {
    std::vector<std::int64_t> shape{static_cast<std::int64_t>(count), 1};
    shape.insert(shape.end(), extents.begin(), extents.end());
    return at::randn(shape, at::kDouble);
  }

  at::Tensor log_normal(const at::Tensor& z) const { return (z * z * -0.5).sum(sites()); }

  // s and t of a layer, the frozen variables, and the mask of the active ones.
  std::array<at::Tensor, 4> layer(const at::Tensor& x, std::size_t number) const {
    const at::Tensor active = number % 2 == 0 ? mask : 1 - mask;
    const at::Tensor frozen = x * (1 - active);
    const auto s_and_t = network(frozen, number).chunk(2, 1);
    return {s_and_t[0] * active, s_and_t[1] * active, frozen, active};
  }

  // Noise to field, and field to noise; both give the log_det of their map.
  at::Tensor forward(at::Tensor& x) const {
    at::Tensor log_det = at::zeros({x.size(0)}, at::kDouble);
    for (std::size_t number = 0; number < weights.size(); ++number) {
      const auto [s, t, frozen, active] = layer(x, number);
      x = frozen + active * (x * s.exp() + t);
      log_det = log_det + s.sum(sites());
    }
    return log_det;
  }
  at::Tensor inverse(at::Tensor& x) const {
    at::Tensor log_det = at::zeros({x.size(0)}, at::kDouble);
    for (std::size_t number = weights.size(); number-- > 0;) {
      const auto [s, t, frozen, active] = layer(x, number);
      x = frozen + active * (x - t) * (-s).exp();
      log_det = log_det - s.sum(sites());
    }
    return log_det;
  }

  at::Tensor action(const at::Tensor& x) const {
    at::Tensor density = (-4.0 + 2.0 * static_cast<double>(extents.size())) * x * x + 8.0 * x * x * x * x;
    for (std::size_t mu = 0; mu < extents.size(); ++mu)
      density = density - 2 * x * at::roll(x, -1, static_cast<std::int64_t>(mu) + 2);
    return density.sum(sites());
  }

  void draw(std::size_t count) const {
    const c10::InferenceMode inference;
    at::init_num_threads();
    at::Tensor x = noise(count);
    const at::Tensor log_noise = log_normal(x);
    const at::Tensor log_q = log_noise - forward(x);
    const at::Tensor log_p = -action(x);
  }

  // A number whose slope by the weights is the estimator's.
  at::Tensor loss(Estimator estimator, std::size_t count) const {
    const at::Tensor z = noise(count);
    at::Tensor x = z;
    const at::Tensor log_det = forward(x);
    if (estimator == Estimator::kReparameterised) return (log_normal(z) - log_det + action(x)).mean();
    at::Tensor fixed = x.detach().requires_grad_();
    at::Tensor back = fixed;
    const at::Tensor inverse_log_det = inverse(back);
    const at::Tensor log_q = log_normal(back) + inverse_log_det;
    const at::Tensor force = torch::autograd::grad({(log_q + action(fixed)).mean()}, {fixed})[0];
    return (x * force).sum();
  }
};

std::shared_ptr<Plain> plain_flow(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                  std::span<const double> weights) {
  const Geometry& geometry = theory_geometry(theory);
  if (geometry.dimensions() != 2 && geometry.dimensions() != 3) return nullptr;
  const auto plain = std::make_shared<Plain>();
  plain->extents = geometry.extents();
  plain->padding.assign(2 * geometry.dimensions(), architecture.network().kernel / 2);
  std::vector<double> mask(geometry.sites());
  for (std::size_t x = 0; x < mask.size(); ++x) mask[x] = geometry.parity(x) == 0 ? 1 : 0;
  plain->mask = at::tensor(mask).view(plain->extents);
  plain->weights.resize(architecture.layers());
  std::size_t number = 0;
  for (const Parameter& parameter : architecture.parameters()) {
    std::vector<float> values(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(parameter.size()));
    weights = weights.subspan(parameter.size());
    plain->weights[number++ / (2 * architecture.network().convolutions())].push_back(
        at::tensor(values).view(parameter.shape));
  }
  return plain;
}

}  // namespace

void tune_allocator() {
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

std::function<void(std::size_t count)> plain_torch(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                                   std::span<const double> weights) {
  const auto plain = plain_flow(theory, architecture, weights);
  if (!plain) return {};
  at::set_num_threads(1);
  return [plain](std::size_t count) { plain->draw(count); };
}

std::function<void(std::size_t count)> plain_torch_training(const AnyTheory& theory,
                                                            const AffineCouplingFlow& architecture,
                                                            std::span<const double> weights, Estimator estimator) {
  const auto plain = plain_flow(theory, architecture, weights);
  if (!plain) return {};
  std::vector<at::Tensor> leaves;
  for (auto& layer : plain->weights) {
    for (at::Tensor& weight : layer) leaves.push_back(weight.requires_grad_());
  }
  const auto adam = std::make_shared<torch::optim::Adam>(leaves, torch::optim::AdamOptions(1e-4));
  return [=](std::size_t count) {
    at::set_num_threads(2);
    at::init_num_threads();
    adam->zero_grad();
    const at::Tensor loss = plain->loss(estimator, count);
    loss.backward();
    at::Tensor square = at::zeros({1});
    for (const at::Tensor& leaf : leaves) square = square + leaf.grad().pow(2).sum();
    const double norm = std::sqrt(square.item<double>());
    if (norm > 10) {
      for (const at::Tensor& leaf : leaves) leaf.grad().mul_(10 / norm);
    }
    adam->step();
  };
}

}  // namespace flowloom
