// The LibTorch engine: the reference of every layer, and what trains flows that exist only here.
//
// Threads: LibTorch is held to one thread; callers run units side by side. Nothing here is changed after
// construction. Bits: calls are cut into blocks of block_size() samples, so that `count` fixes every tensor's shape.
#include <malloc.h>

#include <algorithm>
#include <bit>

#include "flow/module.h"
#include "flow/torch/affine_flow.h"
#include "flow/torch/angle_links.h"
#include "flow/torch/flow.h"
#include "flow/torch/libtorch.h"
#include "flow/torch/loop_flow.h"
#include "flow/torch/machine.h"
#include "flow/torch/matrix_links.h"
#include "spec/error.h"

namespace flowloom::torch_engine {
namespace {

// Samples at once: as many as keep a convolution's gathered input near the cache, within reason.
std::size_t block_size(const NetworkPlan& plan) {
  const auto& channels = plan.shape.channels;
  const std::int64_t widest = *std::max_element(channels.begin(), channels.end() - 1);
  const std::int64_t gathered = plan.sites * plan.taps * widest;
  return std::bit_floor(static_cast<std::size_t>(std::clamp<std::int64_t>((1 << 21) / gathered, 8, 256)));
}

std::vector<double> to_vector(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.to(at::kDouble).contiguous();
  const double* data = plain.const_data_ptr<double>();
  return std::vector<double>(data, data + plain.numel());
}

// [sample][variable] to [variable][sample].
at::Tensor to_field(std::span<const double> fields, std::size_t variables) {
  return samples_tensor(variables, fields.size() / variables, [&](std::size_t i, std::span<double> out) {
    std::ranges::copy(fields.subspan(i * variables, variables), out.begin());
  });
}

template <class Flow, class Architecture>
class TorchModel final : public Model {
 public:
  template <class Theory>
  TorchModel(const Theory& theory, const Architecture& architecture, std::span<const double> weights,
             Precision precision)
      : flow_(theory, architecture),
        weights_(architecture, weights, precision, false),
        block_(block_size(flow_.plan())) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    const c10::InferenceMode inference;
    at::init_num_threads();
    const std::size_t variables = flow_.theory().variables();
    Draws draws{std::vector<double>(count),
                std::vector<double>(count),
                {},
                std::vector<double>(fields == Fields::kKept ? count * variables : 0)};
    const auto put = [](const at::Tensor& tensor, std::vector<double>& out, std::size_t at) {
      const std::vector<double> values = to_vector(tensor);
      std::copy(values.begin(), values.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    };
    for (std::size_t begin = 0; begin < count; begin += block_) {
      auto x = flow_.noise(key, purpose, first + begin, std::min(block_, count - begin));
      const at::Tensor log_noise = flow_.noise_log_density(x);
      const at::Tensor log_det = flow_.forward(weights_, x);
      const at::Tensor field = flow_.whole(x);
      const auto sums = flow_.theory().sums(field);
      put(-flow_.theory().action_of(sums), draws.log_p, begin);
      put(log_noise - log_det, draws.log_q, begin);
      draws.sums.resize(sums.size() * count);
      for (std::size_t k = 0; k < sums.size(); ++k) put(sums[k], draws.sums, k * count + begin);
      if (fields == Fields::kKept) put(field.t(), draws.fields, begin * variables);
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const c10::InferenceMode inference;
    at::init_num_threads();
    const std::size_t variables = flow_.theory().variables();
    const std::size_t count = fields.size() / variables;
    Densities densities;
    for (std::size_t begin = 0; begin < count; begin += block_) {
      const at::Tensor field =
          to_field(fields.subspan(begin * variables, std::min(block_, count - begin) * variables), variables);
      for (const double action : to_vector(flow_.theory().action(field))) densities.log_p.push_back(-action);
      auto x = flow_.state(field);
      const at::Tensor log_det = flow_.inverse(weights_, x);
      const at::Tensor log_q = flow_.noise_log_density(x) + log_det;
      flow_.forward(weights_, x);
      const at::Tensor gap = flow_.difference(flow_.whole(x), field).abs().amax(0);
      for (const double value : to_vector(log_q)) densities.log_q.push_back(value);
      for (const double value : to_vector(gap)) densities.round_trip.push_back(value);
    }
    return densities;
  }

 private:
  Flow flow_;
  Weights weights_;
  std::size_t block_;
};

template <class Flow, class Architecture>
class TorchObjective final : public Objective {
 public:
  template <class Theory>
  TorchObjective(const Theory& theory, const Architecture& architecture, Precision precision)
      : flow_(theory, architecture),
        architecture_(architecture),
        precision_(precision),
        block_(block_size(flow_.plan())) {}

  Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                      std::size_t count) const override {
    return in_blocks(weights, count, [&](const Weights& tensors, std::size_t begin, std::size_t size) {
      const State z = flow_.noise(key, Purpose::kTrain, first + begin, size);
      if (estimator == Estimator::kReparameterised) return reparameterised(tensors, z);
      if constexpr (requires { flow_.path(tensors, z); }) {
        if (estimator == Estimator::kPath) return flow_.path(tensors, z);
      }
      return path_two_pass(tensors, z);
    });
  }

  Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
    const std::size_t variables = flow_.theory().variables();
    return in_blocks(
        weights, fields.size() / variables, [&](const Weights& tensors, std::size_t begin, std::size_t size) {
          const at::Tensor field = to_field(fields.subspan(begin * variables, size * variables), variables);
          const at::Tensor action = flow_.theory().action(field);
          State x = flow_.state(field);
          const at::Tensor log_det = flow_.inverse(tensors, x);
          const at::Tensor log_q = flow_.noise_log_density(x) + log_det;
          return PathSlopes{slopes_of(-log_q.sum(), tensors), -action - log_q};
        });
  }

 private:
  using State = typename Flow::State;

  template <class Work>
  Gradient in_blocks(std::span<const double> weights, std::size_t count, Work work) const {
    at::init_num_threads();
    const at::AutoGradMode gradients(true);
    Gradient gradient{std::vector<double>(weights.size()), {}};
    for (std::size_t begin = 0; begin < count; begin += block_) {
      const Weights tensors(architecture_, weights, precision_, true);
      const PathSlopes block = work(tensors, begin, std::min(block_, count - begin));
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
  PathSlopes reparameterised(const Weights& weights, const State& z) const {
    State x = z;
    const at::Tensor log_noise = flow_.noise_log_density(x);
    const at::Tensor log_det = flow_.forward(weights, x);
    const at::Tensor action = flow_.theory().action(flow_.whole(x));
    const at::Tensor log_q = log_noise - log_det;
    return {slopes_of((log_q + action).sum(), weights), -action - log_q};
  }

  // The path gradient G(x) dx/dw, G = d(log_q + S)/dx at fixed weights, as its definition says: to the field, back by
  // the inverse for G, and to the field again (arXiv:2207.08219). What a flow's `path` is tested against.
  PathSlopes path_two_pass(const Weights& weights, const State& z) const {
    State fixed = z;
    {
      const at::NoGradGuard no_gradient;
      flow_.forward(weights, fixed);
    }
    for (at::Tensor& part : fixed) part.requires_grad_();
    State back = fixed;
    const at::Tensor action = flow_.theory().action(flow_.whole(fixed));
    const at::Tensor log_det = flow_.inverse(weights, back);
    const at::Tensor log_q = flow_.noise_log_density(back) + log_det;
    const auto force = torch::autograd::grad({(log_q + action).sum()}, {fixed.begin(), fixed.end()});
    State x = z;
    flow_.forward(weights, x);
    at::Tensor product = (x[0] * force[0]).sum();
    for (std::size_t part = 1; part < x.size(); ++part) product = product + (x[part] * force[part]).sum();
    return {slopes_of(product, weights), -action - log_q};
  }

  Flow flow_;
  Architecture architecture_;
  Precision precision_;
  std::size_t block_;
};

// The flow of an architecture.
template <class Theory, class Architecture>
struct FlowOf;
template <class Theory>
struct FlowOf<Theory, AffineCouplingFlow> {
  using type = AffineFlow<Theory>;
};
template <class Theory>
struct FlowOf<Theory, GaugeCouplingFlow> {
  using type = LoopFlow<Theory, AngleLinks>;
};
template <class Theory>
struct FlowOf<Theory, SpectralCouplingFlow> {
  using type = LoopFlow<Theory, MatrixLinks<Theory::kColours>>;
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

  std::unique_ptr<Model> model(const AnyTheory& theory, const AnyFlow& architecture, std::span<const double> weights,
                               Precision precision) const override {
    return visit_both<std::unique_ptr<Model>>(
        theory, architecture, [&]<class Theory, class Architecture>(const Theory& own, const Architecture& flow) {
          using Flow = typename FlowOf<Theory, Architecture>::type;
          return std::make_unique<TorchModel<Flow, Architecture>>(own, flow, weights, precision);
        });
  }

  std::unique_ptr<Objective> objective(const AnyTheory& theory, const AnyFlow& architecture,
                                       Precision precision) const override {
    return visit_both<std::unique_ptr<Objective>>(
        theory, architecture, [&]<class Theory, class Architecture>(const Theory& own, const Architecture& flow) {
          using Flow = typename FlowOf<Theory, Architecture>::type;
          return std::make_unique<TorchObjective<Flow, Architecture>>(own, flow, precision);
        });
  }
};

}  // namespace
}  // namespace flowloom::torch_engine

const char* flowloom_engine_interface() { return flowloom::kEngineInterface; }

flowloom::Engine* flowloom_engine_create(const char*) {
  return std::make_unique<flowloom::torch_engine::TorchEngine>().release();
}
