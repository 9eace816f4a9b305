// Gauge-equivariant couplings as LibTorch operations, whatever the links are (flow/loop_coupling.h); a flow as
// flow/torch/flow.h says. The links' part is a class Links (angle_links.h, matrix_links.h):
//
//   Architecture
//   Links(architecture, geometry)
//   noise(key, purpose, first, count), noise_log_density(), difference(a, b)
//   of_field(field), to_field(links)        to the tensor that layers change, and back
//   Loops(std::vector<Loop>)                tables of loops
//   Active(std::vector<LoopCoupling::Active>)
//   context(loops, links)                   the networks' input: an array with a tensor [loop][sample] for each of the
//                                           loops' numbers
//   couple(active, raw, inverse, links)     moves active links by their maps or back, raw(i) being all their maps'
//                                           parameter i; returns log_det of what it did, [active link][sample]
#pragma once

#include <array>
#include <vector>

#include "flow/loop_coupling.h"
#include "flow/torch/flow.h"

namespace flowloom::torch_engine {

// A member of each active link.
template <class T>
std::vector<T> of_each(const std::vector<LoopCoupling::Active>& active, T LoopCoupling::Active::* member) {
  std::vector<T> all;
  for (const LoopCoupling::Active& link : active) all.push_back(link.*member);
  return all;
}

template <class Theory, class Links>
class LoopFlow {
 public:
  using Architecture = typename Links::Architecture;
  using State = std::array<at::Tensor, 1>;  // [variable][sample], float64

  LoopFlow(const Theory& theory, const Architecture& architecture)
      : LoopFlow(theory, architecture, architecture.couplings(theory.geometry())) {}

  const TheorySums<Theory>& theory() const { return theory_; }
  const NetworkPlan& plan() const { return plan_; }

  State state(const at::Tensor& field) const { return {field}; }
  const at::Tensor& whole(const State& x) const { return x[0]; }

  State noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    return {links_.noise(key, purpose, first, count)};
  }
  at::Tensor noise_log_density(const State& z) const {
    return at::full({z[0].size(1)}, links_.noise_log_density(), at::kDouble);
  }

  at::Tensor forward(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble), links = links_.of_field(x[0]);
    for (std::size_t layer = 0; layer < weights.networks.size(); ++layer) {
      log_det = log_det + couple(weights, layer, false, links);
    }
    x[0] = links_.to_field(links);
    return log_det;
  }

  at::Tensor inverse(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble), links = links_.of_field(x[0]);
    for (std::size_t layer = weights.networks.size(); layer-- > 0;) {
      log_det = log_det + couple(weights, layer, true, links);
    }
    x[0] = links_.to_field(links);
    return log_det;
  }

  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) { return Links::difference(a, b); }

 private:
  struct Layer {
    typename Links::Loops context;  // those that are frozen
    typename Links::Active active;
    at::Tensor numbers;  // [active link]: where its numbers begin in [output site][channel]
  };

  LoopFlow(const Theory& theory, const Architecture& architecture, const std::vector<LoopCoupling>& couplings)
      : theory_(theory),
        links_(architecture, theory.geometry()),
        plan_(theory.geometry(), architecture.network(), sites_of(couplings)) {
    for (const LoopCoupling& coupling : couplings) {
      std::vector<std::int64_t> numbers;
      for (const LoopCoupling::Active& link : coupling.active) {
        numbers.push_back(link.output * architecture.network().channels.back() + link.channel);
      }
      layers_.push_back(
          {typename Links::Loops(coupling.context), typename Links::Active(coupling.active), index_tensor(numbers)});
    }
  }

  // Moves the active links of a layer, or back; returns the sum of the log_dets of what it did, [sample].
  at::Tensor couple(const Weights& weights, std::size_t layer, bool inverse, at::Tensor& links) const {
    const std::size_t mask = plan_.mask_of(layer);
    const Layer& own = layers_[mask];
    const at::Tensor context = at::stack(links_.context(own.context, links), 1);
    const at::Tensor outputs = evaluate(weights.networks[layer], plan_, mask, context).flatten(0, 1);
    const auto raw = [&](std::size_t i) {
      return TensorValue(outputs.index_select(0, own.numbers + static_cast<std::int64_t>(i)));
    };
    return links_.couple(own.active, raw, inverse, links).sum(0);
  }

  TheorySums<Theory> theory_;
  Links links_;
  NetworkPlan plan_;
  std::vector<Layer> layers_;  // [mask]
};

}  // namespace flowloom::torch_engine
