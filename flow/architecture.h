// The architecture of an affine coupling flow on a lattice, without any engine (arXiv:2101.08176).
//
//   field = layer_{n-1}( ... layer_0(z) ... ),  z from the prior
//
// Layer i is a checkerboard coupling: sites of parity i mod 2 are active, the others frozen. Its network sees
// the frozen variables (zero on active sites) and returns s and t for every active site:
//
//   1 -> hidden[0] -> ... -> hidden[n-1] -> 2 channels, circular convolutions of width `kernel` with bias,
//   leaky rectifiers between, a tanh on both outputs;   y = x e^s + t on active sites.
//
// Weights are one flat array: for each layer, for each convolution, weight [out][in][kernel^d] then bias [out].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lattice/geometry.h"
#include "spec/run_spec.h"

namespace flowloom {

// One tensor of weights.
struct Parameter {
  std::string name;                 // "layers.3.net.0.weight"
  std::vector<std::int64_t> shape;  // [out, in, kernel, ..., kernel] or [out]
  std::int64_t fan_in = 0;          // inputs of one output, for the initial weights' scale
  std::size_t size() const;
};

class AffineCouplingFlow {
 public:
  // `section` is the [flow] of a run file after checking against `kind().keys`; `dimensions` that of the lattice.
  AffineCouplingFlow(const Section& section, std::size_t dimensions);
  static const Kind& kind();

  std::size_t layers() const { return layers_; }
  std::size_t dimensions() const { return dimensions_; }
  std::int64_t kernel() const { return kernel_; }

  // Channels of a network, input and output included: {1, hidden..., 2}.
  const std::vector<std::int64_t>& channels() const { return channels_; }

  // The parity of the sites that layer `i` changes.
  static int active_parity(std::size_t layer) { return static_cast<int>(layer % 2); }

  // All tensors, in the order of the flat array.
  const std::vector<Parameter>& parameters() const& { return parameters_; }
  const std::vector<Parameter>& parameters() && = delete;  // a temporary's would dangle
  std::size_t parameter_count() const;

  // Throws `kInternal` unless `weights` is `parameter_count()`.
  void refuse_other_count(std::size_t weights) const;

  // Initial weights: uniform on +-1/sqrt(fan_in), the last convolution of every network scaled by `[flow]
  // init_scale`; noise purpose `init`, index = the tensor's number.
  std::vector<double> initial_weights(NoiseKey key) const;

 private:
  std::size_t layers_, dimensions_;
  std::int64_t kernel_;
  double init_scale_;
  std::vector<std::int64_t> channels_;
  std::vector<Parameter> parameters_;
};

}  // namespace flowloom
