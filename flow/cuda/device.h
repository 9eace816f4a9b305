// What flows on a device are made of. A Device has, besides a constructor,
//
//   Array<T>                         numbers on the device: data(), size()
//   Array<T> upload(vector<T>)       a copy;   Array<T> allocate(count)
//   vector<T> download(Array<T>, n)  the first n, once all bodies have run
//   write(Array<T>, span<T>)         overwrites the first numbers
//   copy(T*, n, Array<T>)            the same from the device
//   for_each(items, samples, body)   body(item, sample) for each, after what was asked for before
//   batch(bytes per sample)          samples at once
//
// The parts here, and flows, work on n samples at a time, after allocate(n), or for fewer.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "flow/cuda/bodies.h"

namespace flowloom::cuda {

// Sums over rows, kMost of them at once.
template <class Device, Index kMost>
class DeviceSums {
 public:
  DeviceSums(Device& device, Index rows) : device_(device), rows_(rows) {}

  Index cells() const { return kMost * sum_blocks(rows_); }  // doubles of each sample
  void allocate(Index n) { partial_ = device_.template allocate<double>(cells() * n); }

  // Of term(i, sample), an array, over i < count, to `sums`, [sum][sample]; count <= rows.
  template <class Term>
  void operator()(Term term, Index count, double* sums, Index n) {
    constexpr Index kSums = std::tuple_size_v<decltype(term(Index{}, Index{}))>;
    static_assert(kSums <= kMost);
    device_.for_each(sum_blocks(count), n, SumBlocks<Term, kSums>{term, count, partial_.data(), n});
    device_.for_each(kSums, n, AddBlocks{partial_.data(), sum_blocks(count), sums, n});
  }

 private:
  Device& device_;
  Index rows_;
  typename Device::template Array<double> partial_{};
};

// A flow's networks; the caller owns what it refers to.
template <class Device, class Real>
class DeviceNetworks {
 public:
  DeviceNetworks(Device& device, const lanes::NetworkTables& tables, const lanes::PackedNetworks<Real>& weights)
      : device_(device), tables_(tables), weights_(weights) {
    for (const auto& convolutions : tables.convolutions) {
      auto& own = stencils_.emplace_back();
      for (const auto& stencils : convolutions) {
        auto& uploaded = own.emplace_back();
        for (const lanes::Stencil& stencil : stencils) {
          uploaded.push_back({device.upload(stencil.outputs), device.upload(stencil.inputs)});
        }
      }
    }
    for (const auto& network : weights.networks) {
      auto& uploaded = networks_.emplace_back();
      for (const auto& convolution : network) {
        auto& own = uploaded.emplace_back();
        own.bias = device.upload(convolution.bias);
        for (const auto& packed : convolution.weights) own.weights.push_back(device.upload(packed));
      }
    }
  }

  Index cells() const { return inputs() + 2 * outputs(); }  // Reals of each sample
  void allocate(Index n) {
    input_ = device_.template allocate<Real>(inputs() * n);
    for (auto& buffer : outputs_) buffer = device_.template allocate<Real>(outputs() * n);
  }

  Real* input() { return input_.data(); }  // [input][channel][sample]

  // From the input to the outputs [output site][channel][sample].
  const Real* evaluate(Index layer, Index n) {
    const Index mask = tables_.mask_of(layer);
    const Real* input = input_.data();
    for (Index i = 0; i < networks_[layer].size(); ++i) {
      Real* output = outputs_[i % 2].data();
      for (Index k = 0; k < stencils_[mask][i].size(); ++k) convolve(layer, mask, i, k, input, output, n);
      input = output;
    }
    return input;
  }

 private:
  template <class T>
  using Array = typename Device::template Array<T>;

  struct StencilArrays {
    Array<std::uint32_t> outputs, inputs;
  };
  struct ConvolutionArrays {
    Array<Real> bias;
    std::vector<Array<Real>> weights;  // [stencil]
  };

  Index inputs() const {
    Index most = 0;
    for (const CouplingSites& mask : tables_.masks) most = std::max(most, mask.inputs.size());
    return most * weights_.networks.front().front().in;
  }
  Index outputs() const { return weights_.widest() * tables_.sites; }

  void convolve(Index layer, Index mask, Index i, Index k, const Real* input, Real* output, Index n) {
    const auto& convolution = weights_.networks[layer][i];
    const auto& stencil = tables_.convolutions[mask][i][k];
    Index first = 0;
    const auto outputs = [&]<Index kOut>() {
      for (; first + kOut <= convolution.out; first += kOut) {
        device_.for_each(stencil.outputs.size(), n,
                         Convolve<Real, kOut>{input, networks_[layer][i].weights[k].data(),
                                              networks_[layer][i].bias.data(), stencils_[mask][i][k].outputs.data(),
                                              stencils_[mask][i][k].inputs.data(), stencil.taps.size(), convolution.in,
                                              convolution.out, first, convolution.activation, output, n});
      }
    };
    outputs.template operator()<8>();
    outputs.template operator()<4>();
    outputs.template operator()<2>();
    outputs.template operator()<1>();
  }

  Device& device_;
  const lanes::NetworkTables& tables_;
  const lanes::PackedNetworks<Real>& weights_;
  std::vector<std::vector<std::vector<StencilArrays>>> stencils_;  // [mask][convolution][stencil]
  std::vector<std::vector<ConvolutionArrays>> networks_;           // [layer][convolution]
  Array<Real> input_{}, outputs_[2]{};
};

}  // namespace flowloom::cuda
