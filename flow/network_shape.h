// The shape of the convolution networks that a flow's layers have, one network a layer, all of one shape:
//
//   channels[0] -> hidden[0] -> ... -> hidden[n-1] -> channels.back(),
//
// circular convolutions of width `kernel` (with bias, unless switched off), `activation` between them and `output`
// after the last one. Weights of a convolution: [out][in][kernel^d], then bias [out]; none of them depends on the
// lattice's extents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flow/activation.h"
#include "lattice/geometry.h"
#include "spec/run_spec.h"

namespace flowloom {

// One tensor of weights.
struct Parameter {
  std::string name;                 // "prior.log_mass2", "layers.3.net.0.weight", "layers.3.net.0.bias", "rescale.log"
  std::vector<std::int64_t> shape;  // of a weight [out, in, kernel, ..., kernel], of a bias [out], else [1]
  // Initial weights: uniform on +-init_scale/sqrt(fan_in), where fan_in is the number of inputs of one output; or
  // `initial`, for what is no part of a network.
  std::int64_t fan_in = 0;
  double init_scale = 1, initial = 0;

  std::size_t size() const;
};

struct NetworkShape {
  // From the keys of a flow's section; what a network sees and gives is the flow's.
  NetworkShape(const Section& section, std::int64_t in, std::int64_t out, Activation output);

  std::size_t convolutions() const { return channels.size() - 1; }
  Activation activation_of(std::size_t convolution) const {
    return convolution + 1 == convolutions() ? output : activation;
  }

  // What of it only the engine "torch" has ("activation gelu"), or nothing.
  std::string only_torch() const;

  // The tensors of one layer's network, names beginning with `prefix`. The last convolution's initial weights are
  // `init_scale` times as large as the others'.
  std::vector<Parameter> parameters(const std::string& prefix, std::size_t dimensions, double init_scale) const;

  std::vector<std::int64_t> channels;  // input and output included
  std::int64_t kernel;
  std::vector<std::int64_t> dilation;  // [convolution]: sites from one tap to the next
  bool bias;
  Activation activation, output;
};

// The keys of a flow's section that say it: hidden, kernel, dilation, bias, activation; and init_scale.
std::vector<Key> network_keys();

// Throws `kInvalidInput` with the place unless a run's networks fit its lattice.
void check_network(const Section& flow, const Geometry& geometry);

}  // namespace flowloom
