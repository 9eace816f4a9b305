// The networks of flows as LibTorch operations (flow/network_shape.h), in any dimension.
//
// Layout [site][channel][sample]: a convolution gathers the sites of its box by table and multiplies once per
// site, all sites in one batched product. Several times faster than conv2d for few channels, and 4 dimensions
// cost nothing special.
#pragma once

#include <map>
#include <vector>

#include "flow/architecture.h"
#include "flow/torch/index_tensor.h"

namespace flowloom::torch_engine {

// What lattice and architecture fix: index tables. Immutable, shared by all threads.
struct NetworkPlan {
  NetworkPlan(const Geometry& geometry, const NetworkShape& shape_, const std::vector<CouplingSites>& masks)
      : shape(shape_),
        sites(static_cast<std::int64_t>(geometry.sites())),
        groups(static_cast<std::int64_t>(masks.front().groups)) {
    std::vector<std::uint32_t> all(geometry.sites());
    for (std::size_t x = 0; x < all.size(); ++x) all[x] = static_cast<std::uint32_t>(x);
    for (const CouplingSites& mask : masks) {
      inputs.push_back(index_tensor(mask.inputs));
      outputs.push_back(index_tensor(mask.outputs));
    }
    for (std::size_t conv = 0; conv < shape.convolutions(); ++conv) {
      std::vector<std::vector<std::int64_t>> neighbours;
      for (const auto& displacement : geometry.box(shape.kernel, shape.dilation[conv])) {
        neighbours.push_back(geometry.neighbours(displacement));
      }
      taps = static_cast<std::int64_t>(neighbours.size());
      const auto gather = [&](const std::vector<std::uint32_t>& targets) {
        std::vector<std::int64_t> table;
        for (const std::uint32_t x : targets) {
          for (const auto& tap : neighbours) table.push_back(tap[x]);
        }
        return index_tensor(table);
      };
      if (conv + 1 < shape.convolutions()) {
        box_of_all.push_back(gather(all));
      } else {
        for (const CouplingSites& mask : masks) box_of_outputs.push_back(gather(mask.outputs));
      }
    }
  }

  std::size_t mask_of(std::size_t layer) const { return layer % inputs.size(); }

  NetworkShape shape;
  std::int64_t sites, groups, taps;
  std::vector<at::Tensor> inputs, outputs;  // [mask]: the inputs (CouplingSites), the sites of the outputs

  std::vector<at::Tensor> box_of_all;      // [convolution but the last]: [site][tap] -> site
  std::vector<at::Tensor> box_of_outputs;  // [mask], of the last convolution: [output site][tap] -> site
};

// One convolution in the form for `convolve`: [out][tap * in] and [1][out][1].
struct Convolution {
  at::Tensor matrix, bias;
};
using Network = std::vector<Convolution>;

// The flat array of weights as tensors that gradients can be taken of, and the forms in which they are used.
struct Weights {
  Weights(const Architecture& architecture, std::span<const double> flat, Precision precision, bool gradients) {
    architecture.refuse_other_count(flat.size());
    const at::ScalarType type = precision == Precision::kMixed ? at::kFloat : at::kDouble;
    const NetworkShape& shape = architecture.network();
    for (const Parameter& parameter : architecture.parameters()) {
      at::Tensor tensor = at::empty(parameter.shape, at::kDouble);
      std::copy_n(flat.begin(), parameter.size(), tensor.mutable_data_ptr<double>());
      flat = flat.subspan(parameter.size());
      leaves.push_back(tensor.to(type).requires_grad_(gradients));
    }
    for (std::size_t i = 0; i < leaves.size();) {
      if (architecture.parameters()[i].fan_in == 0) {
        numbers[architecture.parameters()[i].name] = leaves[i].to(at::kDouble);
        ++i;
        continue;
      }
      Network network;
      for (std::size_t conv = 0; conv < shape.convolutions(); ++conv) {
        const at::Tensor weight = leaves[i++];
        const at::Tensor bias = shape.bias ? leaves[i++] : at::zeros({weight.size(0)}, type);
        network.push_back({weight.flatten(2).transpose(1, 2).reshape({weight.size(0), -1}), bias.view({1, -1, 1})});
      }
      networks.push_back(std::move(network));
    }
  }

  // A number that is no part of a network; undefined if the flow has none of this name.
  at::Tensor number(const std::string& name) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? at::Tensor() : found->second;
  }

  std::vector<at::Tensor> leaves;  // in the order of the flat array
  std::vector<Network> networks;   // [layer]
  std::map<std::string, at::Tensor> numbers;
};

// `input` [site][in][sample] -> [site of `box`][out][sample].
inline at::Tensor convolve(const Convolution& convolution, const at::Tensor& input, const at::Tensor& box,
                           std::int64_t taps) {
  const std::int64_t sites = box.size(0) / taps;
  const at::Tensor gathered = input.index_select(0, box).view({sites, taps * input.size(1), input.size(2)});
  return at::baddbmm(convolution.bias, convolution.matrix.unsqueeze(0).expand({sites, -1, -1}), gathered);
}

// What a layer's network gives for its output sites, [output site][out][sample] in float64, from `input`
// [input][channel][sample].
inline at::Tensor evaluate(const Network& network, const NetworkPlan& plan, std::size_t mask, const at::Tensor& input) {
  const auto type = network.front().matrix.scalar_type();
  at::Tensor x = at::zeros({plan.sites * plan.groups, input.size(1), input.size(2)}, input.options().dtype(type))
                     .index_copy(0, plan.inputs[mask], input.to(type))
                     .view({plan.sites, plan.groups * input.size(1), input.size(2)});
  for (std::size_t i = 0; i < network.size(); ++i) {
    const at::Tensor& box = i + 1 < network.size() ? plan.box_of_all[i] : plan.box_of_outputs[mask];
    x = convolve(network[i], x, box, plan.taps);
    x = with_activation(plan.shape.activation_of(i), [&](auto activate) { return activate(x); });
  }
  return x.to(at::kDouble);
}

}  // namespace flowloom::torch_engine
