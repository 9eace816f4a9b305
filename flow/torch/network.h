// The parts of a flow as LibTorch operations (flow/architecture.h), in any dimension.
//
// Layout [site][channel][sample]: a convolution gathers the sites of its box by table and multiplies once per
// site, all sites in one batched product. Several times faster than conv2d for few channels, and 4 dimensions
// cost nothing special.
#pragma once

#include <array>
#include <vector>

#include "flow/affine.h"
#include "flow/architecture.h"
#include "flow/free_field.h"
#include "flow/torch/libtorch.h"

namespace flowloom::torch_engine {

inline at::Tensor index_tensor(const std::vector<std::int64_t>& numbers) {
  return at::tensor(at::IntArrayRef(numbers), at::kLong);
}

// What lattice and architecture fix: index tables. Immutable, shared by all threads.
struct Plan {
  Plan(const Geometry& geometry, const AffineCouplingFlow& flow) : architecture(flow), extents(geometry.extents()) {
    sites = static_cast<std::int64_t>(geometry.sites());
    std::array<std::vector<std::int64_t>, 2> numbers;
    for (std::int64_t x = 0; x < sites; ++x) {
      numbers[static_cast<std::size_t>(geometry.parity(static_cast<std::size_t>(x)))].push_back(x);
    }
    std::vector<std::int64_t> all(static_cast<std::size_t>(sites)), merged(all.size());
    for (std::size_t x = 0; x < all.size(); ++x) all[x] = static_cast<std::int64_t>(x);
    for (std::size_t conv = 0; conv < flow.convolutions(); ++conv) {
      std::vector<std::vector<std::int64_t>> neighbours;
      for (const auto& displacement : geometry.box(flow.kernel(), flow.dilation(conv))) {
        neighbours.push_back(geometry.neighbours(displacement));
      }
      taps = static_cast<std::int64_t>(neighbours.size());
      const auto gather = [&](const std::vector<std::int64_t>& targets) {
        std::vector<std::int64_t> table;
        for (const std::int64_t x : targets) {
          for (const auto& tap : neighbours) table.push_back(tap[static_cast<std::size_t>(x)]);
        }
        return index_tensor(table);
      };
      if (conv + 1 < flow.convolutions()) {
        box_of_all.push_back(gather(all));
      } else {
        for (std::size_t p = 0; p < 2; ++p) box_of_parity[p] = gather(numbers[p]);
      }
    }
    std::int64_t place = 0;
    for (std::size_t p = 0; p < 2; ++p) {
      of_parity[p] = index_tensor(numbers[p]);
      for (const std::int64_t x : numbers[p]) merged[static_cast<std::size_t>(x)] = place++;
    }
    merge = index_tensor(merged);
    for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) forward.push_back(index_tensor(geometry.forward(mu)));
    if (flow.prior() == Prior::kFreeField) {
      const FreeFieldBasis basis(geometry);
      for (std::size_t mu = 0; mu < extents.size(); ++mu) {
        cas.push_back(at::tensor(at::ArrayRef<double>(basis.cas[mu]), at::kDouble).view({extents[mu], extents[mu]}));
      }
      khat2 = at::tensor(at::ArrayRef<double>(basis.khat2), at::kDouble).unsqueeze(1);
    }
  }

  AffineCouplingFlow architecture;
  std::vector<std::int64_t> extents;
  std::int64_t sites, taps;
  std::array<at::Tensor, 2> of_parity;  // the sites of a parity
  at::Tensor merge;                     // [site] -> its place in (sites of parity 0, sites of parity 1)
  std::vector<at::Tensor> forward;      // [mu][site] -> x + mu

  std::vector<at::Tensor> box_of_all;       // [convolution but the last]: [site][tap] -> site
  std::array<at::Tensor, 2> box_of_parity;  // of the last convolution: [site of the parity][tap] -> site

  std::vector<at::Tensor> cas;  // free-field prior: [mu]: [k][x]
  at::Tensor khat2;             // [mode][1]
};

// One convolution in the form for `convolve`: [out][tap * in] and [1][out][1].
struct Convolution {
  at::Tensor matrix, bias;
};
using Network = std::vector<Convolution>;

// The flat array of weights as tensors that gradients can be taken of, and the forms in which they are used.
struct Weights {
  Weights(const AffineCouplingFlow& architecture, std::span<const double> flat, Precision precision, bool gradients) {
    architecture.refuse_other_count(flat.size());
    const at::ScalarType type = precision == Precision::kMixed ? at::kFloat : at::kDouble;
    for (const Parameter& parameter : architecture.parameters()) {
      at::Tensor tensor = at::empty(parameter.shape, at::kDouble);
      std::copy_n(flat.begin(), parameter.size(), tensor.mutable_data_ptr<double>());
      flat = flat.subspan(parameter.size());
      leaves.push_back(tensor.to(type).requires_grad_(gradients));
    }
    auto leaf = leaves.begin();
    if (architecture.prior() == Prior::kFreeField) log_mass2 = (leaf++)->to(at::kDouble);
    for (std::size_t layer = 0; layer < architecture.layers(); ++layer) {
      Network network;
      for (std::size_t conv = 0; conv < architecture.convolutions(); ++conv) {
        const at::Tensor weight = *leaf++;
        const at::Tensor bias = architecture.bias() ? *leaf++ : at::zeros({weight.size(0)}, type);
        network.push_back({weight.flatten(2).transpose(1, 2).reshape({weight.size(0), -1}), bias.view({1, -1, 1})});
      }
      networks.push_back(std::move(network));
    }
    if (architecture.rescales()) log_scale = (leaf++)->to(at::kDouble);
  }

  std::vector<at::Tensor> leaves;  // in the order of the flat array
  at::Tensor log_mass2;            // undefined without a free field
  std::vector<Network> networks;
  at::Tensor log_scale;  // undefined without a rescaling
};

// `input` [site][in][sample] -> [site of `box`][out][sample].
inline at::Tensor convolve(const Convolution& convolution, const at::Tensor& input, const at::Tensor& box,
                           std::int64_t taps) {
  const std::int64_t sites = box.size(0) / taps;
  const at::Tensor gathered = input.index_select(0, box).view({sites, taps * input.size(1), input.size(2)});
  return at::baddbmm(convolution.bias, convolution.matrix.unsqueeze(0).expand({sites, -1, -1}), gathered);
}

struct ScaleAndShift {
  at::Tensor s, t;  // [active site][sample], float64
};

// s and t for the sites of parity `active`, from the frozen variables [frozen site][sample] in float64.
inline ScaleAndShift evaluate(const Network& network, const Plan& plan, std::size_t active, const at::Tensor& frozen) {
  const auto type = network.front().matrix.scalar_type();
  at::Tensor x = at::zeros({plan.sites, frozen.size(1)}, frozen.options().dtype(type))
                     .index_copy(0, plan.of_parity[1 - active], frozen.to(type))
                     .unsqueeze(1);
  if (plan.architecture.z2()) x = at::cat({x, -x}, 2);
  for (std::size_t i = 0; i < network.size(); ++i) {
    const at::Tensor& box = i + 1 < network.size() ? plan.box_of_all[i] : plan.box_of_parity[active];
    x = convolve(network[i], x, box, plan.taps);
    x = with_activation(plan.architecture.activation(i), [&](auto activate) { return activate(x); });
  }
  x = x.to(at::kDouble);
  const at::Tensor s = x.select(1, 0), t = x.select(1, 1);
  if (!plan.architecture.z2()) return {s, t};
  const auto with_mirrored_s = s.chunk(2, 1), with_mirrored_t = t.chunk(2, 1);
  return {even_part(with_mirrored_s[0], with_mirrored_s[1]), odd_part(with_mirrored_t[0], with_mirrored_t[1])};
}

// The free field's f(k), [mode][1].
inline at::Tensor free_field_amplitudes(const Plan& plan, const at::Tensor& log_mass2) {
  return free_field_amplitude(plan.khat2, log_mass2.exp());
}

// A field [site][sample] to the modes of the free field, or back.
inline at::Tensor transform(const Plan& plan, const at::Tensor& field) {
  at::Tensor x = field;
  std::int64_t outer = 1;
  for (std::size_t mu = 0; mu < plan.extents.size(); ++mu) {
    x = at::matmul(plan.cas[mu], x.reshape({outer, plan.extents[mu], -1}));
    outer *= plan.extents[mu];
  }
  return x.reshape({plan.sites, -1});
}

}  // namespace flowloom::torch_engine
