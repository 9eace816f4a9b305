// The circular convolution network of a coupling layer as LibTorch operations (flow/architecture.h), in any dimension.
//
// Layout [site][channel][sample]: a convolution gathers the sites of its box by table and multiplies once per
// site, all sites in one batched product. Several times faster than conv2d for few channels, and 4 dimensions
// cost nothing special.
#pragma once

#include <array>
#include <vector>

#include "flow/affine.h"
#include "flow/architecture.h"
#include "flow/torch/libtorch.h"

namespace flowloom::torch_engine {

inline at::Tensor index_tensor(const std::vector<std::int64_t>& numbers) {
  return at::tensor(at::IntArrayRef(numbers), at::kLong);
}

// Index tables of a lattice. Immutable, shared by all threads.
struct Tables {
  Tables(const Geometry& geometry, std::int64_t kernel) {
    sites = static_cast<std::int64_t>(geometry.sites());
    std::array<std::vector<std::int64_t>, 2> numbers;
    for (std::int64_t x = 0; x < sites; ++x) {
      numbers[static_cast<std::size_t>(geometry.parity(static_cast<std::size_t>(x)))].push_back(x);
    }
    std::vector<std::vector<std::int64_t>> neighbours;
    for (const auto& displacement : geometry.box(kernel)) neighbours.push_back(geometry.neighbours(displacement));
    taps = static_cast<std::int64_t>(neighbours.size());
    const auto gather = [&](const std::vector<std::int64_t>& targets) {
      std::vector<std::int64_t> table;
      for (const std::int64_t x : targets) {
        for (const auto& tap : neighbours) table.push_back(tap[static_cast<std::size_t>(x)]);
      }
      return index_tensor(table);
    };
    std::vector<std::int64_t> all(static_cast<std::size_t>(sites)), merged(all.size());
    for (std::size_t x = 0; x < all.size(); ++x) all[x] = static_cast<std::int64_t>(x);
    std::int64_t place = 0;
    for (std::size_t p = 0; p < 2; ++p) {
      of_parity[p] = index_tensor(numbers[p]);
      box_of_parity[p] = gather(numbers[p]);
      for (const std::int64_t x : numbers[p]) merged[static_cast<std::size_t>(x)] = place++;
    }
    box_of_all = gather(all);
    merge = index_tensor(merged);
    for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) forward.push_back(index_tensor(geometry.forward(mu)));
  }

  std::int64_t sites, taps;
  std::array<at::Tensor, 2> of_parity;      // the sites of a parity
  std::array<at::Tensor, 2> box_of_parity;  // [site of the parity][tap] -> site
  at::Tensor box_of_all;                    // [site][tap] -> site
  at::Tensor merge;                         // [site] -> its place in (sites of parity 0, sites of parity 1)
  std::vector<at::Tensor> forward;          // [mu][site] -> x + mu
};

// Weights of one convolution, as tensors that gradients are taken of: weight [out][in][kernel...], bias [out].
struct Convolution {
  at::Tensor weight, bias;

  // Their form for `convolve`: [out][tap * in] and [1][out][1].
  struct Prepared {
    at::Tensor matrix, bias;
  };
  Prepared prepared() const {
    return {weight.flatten(2).transpose(1, 2).reshape({weight.size(0), -1}), bias.view({1, -1, 1})};
  }
};

using Network = std::vector<Convolution::Prepared>;

// `input` [site][in][sample] -> [site of `box`][out][sample].
inline at::Tensor convolve(const Convolution::Prepared& convolution, const at::Tensor& input, const at::Tensor& box,
                           std::int64_t taps) {
  const std::int64_t sites = box.size(0) / taps;
  const at::Tensor gathered = input.index_select(0, box).view({sites, taps * input.size(1), input.size(2)});
  return at::baddbmm(convolution.bias, convolution.matrix.unsqueeze(0).expand({sites, -1, -1}), gathered);
}

struct ScaleAndShift {
  at::Tensor s, t;  // [active site][sample], float64
};

// s and t for the sites of parity `active`, from the frozen variables [frozen site][sample] in float64.
inline ScaleAndShift evaluate(const Network& network, const Tables& tables, std::size_t active,
                              const at::Tensor& frozen) {
  const auto type = network.front().matrix.scalar_type();
  at::Tensor x = at::zeros({tables.sites, frozen.size(1)}, frozen.options().dtype(type))
                     .index_copy(0, tables.of_parity[1 - active], frozen.to(type))
                     .unsqueeze(1);
  for (std::size_t i = 0; i + 1 < network.size(); ++i) {
    x = at::leaky_relu(convolve(network[i], x, tables.box_of_all, tables.taps), kLeakySlope);
  }
  x = at::tanh(convolve(network.back(), x, tables.box_of_parity[active], tables.taps)).to(at::kDouble);
  return {x.select(1, 0), x.select(1, 1)};
}

}  // namespace flowloom::torch_engine
