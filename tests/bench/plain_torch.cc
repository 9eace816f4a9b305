#include "plain_torch.h"

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

  void draw(std::size_t count) const {
    const c10::InferenceMode inference;
    at::init_num_threads();
    std::vector<std::int64_t> shape{static_cast<std::int64_t>(count), 1};
    shape.insert(shape.end(), extents.begin(), extents.end());
    at::Tensor x = at::randn(shape, at::kDouble);
    std::vector<std::int64_t> sites;
    for (std::size_t d = 1; d < shape.size(); ++d) sites.push_back(static_cast<std::int64_t>(d));
    at::Tensor log_q = (x * x * -0.5).sum(sites);
    for (std::size_t layer = 0; layer < weights.size(); ++layer) {
      const at::Tensor active = layer % 2 == 0 ? mask : 1 - mask;
      const at::Tensor frozen = x * (1 - active);
      const auto s_and_t = network(frozen, layer).chunk(2, 1);
      const at::Tensor s = s_and_t[0] * active, t = s_and_t[1] * active;
      x = frozen + active * (x * s.exp() + t);
      log_q = log_q - s.sum(sites);
    }
    at::Tensor action = (-4.0 + 2.0 * static_cast<double>(extents.size())) * x * x + 8.0 * x * x * x * x;
    for (std::size_t mu = 0; mu < extents.size(); ++mu)
      action = action - 2 * x * at::roll(x, -1, static_cast<std::int64_t>(mu) + 2);
    const at::Tensor log_p = -action.sum(sites);
  }
};

}  // namespace

std::function<void(std::size_t count)> plain_torch(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                                   std::span<const double> weights) {
  const Geometry& geometry = theory_geometry(theory);
  if (geometry.dimensions() != 2 && geometry.dimensions() != 3) return {};
  at::set_num_threads(1);
  const auto plain = std::make_shared<Plain>();
  plain->extents = geometry.extents();
  plain->padding.assign(2 * geometry.dimensions(), architecture.kernel() / 2);
  std::vector<double> mask(geometry.sites());
  for (std::size_t x = 0; x < mask.size(); ++x) mask[x] = geometry.parity(x) == 0 ? 1 : 0;
  plain->mask = at::tensor(mask).view(plain->extents);
  plain->weights.resize(architecture.layers());
  std::size_t number = 0;
  for (const Parameter& parameter : architecture.parameters()) {
    std::vector<float> values(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(parameter.size()));
    weights = weights.subspan(parameter.size());
    plain->weights[number++ / (2 * architecture.convolutions())].push_back(at::tensor(values).view(parameter.shape));
  }
  return [plain](std::size_t count) { plain->draw(count); };
}

}  // namespace flowloom
