// Gauge-equivariant couplings of angles as LibTorch operations (flow/gauge_coupling.h); what the engine asks of a flow
// stands in flow/torch/affine_flow.h.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "flow/affine.h"
#include "flow/gauge_coupling.h"
#include "flow/torch/network.h"
#include "flow/torch/theory.h"

namespace flowloom::torch_engine {

template <class Theory>
class GaugeFlow {
 public:
  using State = std::array<at::Tensor, 1>;  // [variable][sample], float64

  GaugeFlow(const Theory& theory, const GaugeCouplingFlow& architecture)
      : theory_(theory),
        architecture_(architecture),
        couplings_(architecture.couplings(theory.geometry())),
        plan_(theory.geometry(), architecture.network(), sites_of(couplings_)) {
    for (const LoopCoupling& coupling : couplings_) {
      Tables tables;
      std::vector<Loop> context, rest, around;
      std::vector<std::int64_t> channels, links, numbers;
      const auto inputs = static_cast<std::int64_t>(2 * coupling.context.front().size());
      for (std::size_t site = 0; site < coupling.context.size(); ++site) {
        for (std::size_t c = 0; c < coupling.context[site].size(); ++c) {
          if (coupling.context[site][c].empty()) continue;
          context.push_back(coupling.context[site][c]);
          channels.push_back(static_cast<std::int64_t>(site) * inputs + static_cast<std::int64_t>(2 * c));
        }
      }
      const std::int64_t outputs = architecture.network().channels.back();
      for (const LoopCoupling::Active& link : coupling.active) {
        rest.push_back(link.rest);
        around.push_back(link.around);
        links.push_back(link.number);
        numbers.push_back(link.output * outputs + link.channel);
      }
      tables.context = LoopTable(context);
      tables.rest = LoopTable(rest);
      if (!std::ranges::all_of(around, &Loop::empty)) tables.around = LoopTable(around);
      tables.channels = index_tensor(channels);
      tables.links = index_tensor(links);
      tables.numbers = index_tensor(numbers);
      tables_.push_back(std::move(tables));
    }
  }

  const TheorySums<Theory>& theory() const { return theory_; }
  const NetworkPlan& plan() const { return plan_; }

  State state(const at::Tensor& field) const { return {field}; }
  const at::Tensor& whole(const State& x) const { return x[0]; }

  State noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    return {noise_tensor(theory_.variables(), count, [&](std::size_t i, std::span<double> out) {
      fill_uniform(key, purpose, first + i, out);
      for (double& angle : out) angle *= kTwoPi;
    })};
  }
  at::Tensor noise_log_density(const State& z) const {
    return at::full({z[0].size(1)}, uniform_angles_log_density(theory_.variables()), at::kDouble);
  }

  at::Tensor forward(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    for (std::size_t layer = 0; layer < weights.networks.size(); ++layer) {
      log_det =
          log_det + couple(weights, layer, x[0], [](const auto& map, const TensorValue& angle, const TensorValue& t) {
            const auto [y, log_slope] = map.forward(angle);
            return Step{shift_angle(y, t) - angle, log_slope};
          });
    }
    return log_det;
  }

  at::Tensor inverse(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble);
    for (std::size_t layer = weights.networks.size(); layer-- > 0;) {
      log_det =
          log_det - couple(weights, layer, x[0], [](const auto& map, const TensorValue& angle, const TensorValue& t) {
            // A step of Newton's method, which changes nothing, gives the root its slopes.
            const TensorValue y = shift_angle(angle, -t);
            TensorValue root;
            {
              const at::NoGradGuard no_gradient;
              root = map.inverse(y).value;
            }
            const auto there = map.forward(root);
            const at::Tensor slope = there.log_slope.tensor.detach().exp();
            const TensorValue before(root.tensor - (there.value.tensor - y.tensor) / slope);
            return Step{before - angle, map.forward(before).log_slope};
          });
    }
    return log_det;
  }

  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) {
    return wrap_angle(TensorValue(a - b)).tensor;
  }

 private:
  struct Step {
    TensorValue change, log_slope;
  };

  // Loops as one gather: links padded to the longest with sign 0.
  struct LoopTable {
    LoopTable() = default;
    explicit LoopTable(const std::vector<Loop>& loops) {
      std::size_t longest = 0;
      for (const Loop& loop : loops) longest = std::max(longest, loop.size());
      std::vector<std::int64_t> variables(loops.size() * longest);
      std::vector<double> factors(variables.size());
      for (std::size_t i = 0; i < loops.size(); ++i) {
        for (std::size_t k = 0; k < loops[i].size(); ++k) {
          variables[i * longest + k] = loops[i][k].number;
          factors[i * longest + k] = loops[i][k].sign;
        }
      }
      links = index_tensor(variables);
      signs = at::tensor(factors, at::kDouble).view({static_cast<std::int64_t>(loops.size()), -1, 1});
    }

    // [loop][sample]
    at::Tensor angles(const at::Tensor& field) const {
      return (field.index_select(0, links).view({signs.size(0), signs.size(1), -1}) * signs).sum(1);
    }

    at::Tensor links, signs;
  };

  struct Tables {
    LoopTable context, rest;
    std::optional<LoopTable> around;  // if any of them is not empty
    at::Tensor channels;  // [frozen loop]: where its cosine stands in [input site][channel], its sine behind it
    at::Tensor links;     // [active link]: its variable
    at::Tensor numbers;   // [active link]: its first number in [output site][channel]
  };

  // Moves the active links of a layer by step(map, angles of the active loops, t); returns the sum of the log slopes,
  // [sample].
  template <class StepOf>
  at::Tensor couple(const Weights& weights, std::size_t layer, at::Tensor& field, StepOf step) const {
    const std::size_t mask = plan_.mask_of(layer);
    const Tables& tables = tables_[mask];
    const auto angles = turn_of_angle(TensorValue(tables.context.angles(field)));
    const std::int64_t sites = plan_.inputs[mask].size(0), inputs = plan_.shape.channels.front(),
                       samples = field.size(1);
    const at::Tensor context = at::zeros({sites * inputs, samples}, at::kDouble)
                                   .index_copy(0, tables.channels, angles.cos.tensor)
                                   .index_copy(0, tables.channels + 1, angles.sin.tensor)
                                   .view({sites, inputs, samples});
    const at::Tensor outputs = evaluate(weights.networks[layer], plan_, mask, context).flatten(0, 1);
    const auto raw = [&](std::size_t i) {
      return TensorValue(outputs.index_select(0, tables.numbers + static_cast<std::int64_t>(i)));
    };
    const at::Tensor own = field.index_select(0, tables.links);
    at::Tensor total = own + tables.rest.angles(field);
    if (tables.around) total = total - wrap_angle(TensorValue(tables.around->angles(field))).tensor * 0.5;
    const TensorValue angle = positive_angle(TensorValue(total));
    const auto [change, log_slope] = with_circle_map<TensorValue>(
        architecture_.map(), architecture_.pieces(), raw,
        [&](const auto& map) { return step(map, angle, raw(architecture_.map_parameters())); });
    field = field.index_copy(0, tables.links, positive_angle(TensorValue(own + change.tensor)).tensor);
    return log_slope.tensor.sum(0);
  }

  TheorySums<Theory> theory_;
  GaugeCouplingFlow architecture_;
  std::vector<LoopCoupling> couplings_;
  NetworkPlan plan_;
  std::vector<Tables> tables_;  // [mask]
};

}  // namespace flowloom::torch_engine
