// Links that are angles as LibTorch operations (flow/gauge_coupling.h), for couplings (flow/torch/loop_flow.h).
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "flow/densities.h"
#include "flow/gauge_coupling.h"
#include "flow/torch/loop_flow.h"

namespace flowloom::torch_engine {

class AngleLinks {
 public:
  using Architecture = GaugeCouplingFlow;

  AngleLinks(const GaugeCouplingFlow& architecture, const Geometry& geometry)
      : architecture_(architecture), links_(geometry.dimensions() * geometry.sites()) {}

  at::Tensor noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    return samples_tensor(links_, count, [&](std::size_t i, std::span<double> out) {
      fill_uniform(key, purpose, first + i, out);
      for (double& angle : out) angle *= kTwoPi;
    });
  }
  double noise_log_density() const { return uniform_angles_log_density(links_); }
  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) {
    return wrap_angle(TensorValue(a - b)).tensor;
  }

  static const at::Tensor& of_field(const at::Tensor& field) { return field; }
  static const at::Tensor& to_field(const at::Tensor& links) { return links; }

  // One gather: links padded to the longest with sign 0.
  struct Loops {
    explicit Loops(const std::vector<Loop>& loops) {
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

  struct Active {
    explicit Active(const std::vector<LoopCoupling::Active>& active)
        : links(index_tensor(of_each(active, &LoopCoupling::Active::number))),
          rest(of_each(active, &LoopCoupling::Active::rest)) {
      const std::vector<Loop> arounds = of_each(active, &LoopCoupling::Active::around);
      if (!std::ranges::all_of(arounds, &Loop::empty)) around.emplace(arounds);
    }

    at::Tensor links;  // their variables
    Loops rest;
    std::optional<Loops> around;  // if any of them is not empty
  };

  // The cosine and the sine.
  static std::array<at::Tensor, 2> context(const Loops& loops, const at::Tensor& links) {
    const auto turned = turn_of_angle(TensorValue(loops.angles(links)));
    return {turned.cos.tensor, turned.sin.tensor};
  }

  template <class Raw>
  at::Tensor couple(const Active& active, const Raw& raw, bool inverse, at::Tensor& links) const {
    const at::Tensor own = links.index_select(0, active.links);
    TensorValue angle(own + active.rest.angles(links));
    if (active.around) angle = from_half_around(angle, TensorValue(active.around->angles(links)));
    const TensorValue from = positive_angle(angle);
    const TensorValue rotation = raw(architecture_.map_parameters());
    const Transformed<TensorValue> to =
        with_circle_map<TensorValue>(architecture_.map(), architecture_.pieces(), raw, [&](const auto& map) {
          return inverse ? inverse_with_slopes(map, shift_angle(from, -rotation))
                         : rotated(map.forward(from), rotation);
        });
    links = links.index_copy(0, active.links, positive_angle(TensorValue(own + (to.value - from).tensor)).tensor);
    return to.log_slope.tensor;
  }

 private:
  static Transformed<TensorValue> rotated(const Transformed<TensorValue>& of, const TensorValue& rotation) {
    return {shift_angle(of.value, rotation), of.log_slope};
  }

  // A step of Newton's method, which changes nothing, gives the root its slopes. The log slope is the inverse's.
  template <class Map>
  static Transformed<TensorValue> inverse_with_slopes(const Map& map, const TensorValue& y) {
    TensorValue root;
    {
      const at::NoGradGuard no_gradient;
      root = map.inverse(y).value;
    }
    const auto there = map.forward(root);
    const at::Tensor slope = there.log_slope.tensor.detach().exp();
    const TensorValue before(root.tensor - (there.value.tensor - y.tensor) / slope);
    return {before, -map.forward(before).log_slope};
  }

  GaugeCouplingFlow architecture_;
  std::size_t links_;
};

}  // namespace flowloom::torch_engine
