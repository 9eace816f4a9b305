// The architecture of an affine coupling flow on a lattice, without any engine (arXiv:2101.08176).
//
//   field = rescaling( layer_{n-1}( ... layer_0( prior(z) ) ... ) ),  z independent standard normals
//
// prior        the identity, or the free field with a learnt mass (flow/free_field.h).
// layer i      a checkerboard coupling: sites of parity i mod 2 are active, the others frozen. Its network sees the frozen
//              variables (zero on active sites) and returns s and t for every active site:
//                1 -> hidden[0] -> ... -> hidden[n-1] -> 2 channels, circular convolutions of width `kernel` (with bias,
//                unless switched off), `activation` between them, `output` on both results;   y = x e^s + t.
//              With symmetry z2, s = (s(x) + s(-x)) / 2 and t = (t(x) - t(-x)) / 2 of the frozen x: s even and t odd, so that
//              field(-z) = -field(z) and log_q(-field) = log_q(field): to the last bit where a sample's bits do not
//              depend on its place in a batch, else to the networks' rounding.
// rescaling    all variables times e^alpha, if `rescale` (arXiv:2211.12806).
//
// Weights are one flat array: theta = log M^2 if there is a free field; for each layer, for each convolution, weight
// [out][in][kernel^d] then bias [out]; alpha if there is a rescaling. None of them depends on the lattice's extents.
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
  std::int64_t fan_in = 0;          // inputs of one output, for the initial weights' scale; 0: no part of a network
  std::size_t size() const;
};

enum class Prior { kNormal, kFreeField };

class AffineCouplingFlow {
 public:
  // `section` is the [flow] of a run file after checking against `kind().keys`; `dimensions` that of the lattice.
  AffineCouplingFlow(const Section& section, std::size_t dimensions);
  static const Kind& kind();

  Prior prior() const { return prior_; }
  std::size_t layers() const { return layers_; }
  std::size_t dimensions() const { return dimensions_; }
  bool z2() const { return z2_; }
  bool rescales() const { return rescales_; }

  // Of each network: channels, input and output included: {1, hidden..., 2}; and its convolutions.
  const std::vector<std::int64_t>& channels() const { return channels_; }
  std::size_t convolutions() const { return channels_.size() - 1; }
  std::int64_t kernel() const { return kernel_; }
  std::int64_t dilation(std::size_t convolution) const { return dilation_[convolution]; }  // sites between two taps
  bool bias() const { return bias_; }
  Activation activation(std::size_t convolution) const {
    return convolution + 1 == convolutions() ? output_ : activation_;
  }

  // What of it only the engine "torch" has ("activation gelu"), or nothing.
  std::string only_torch() const;

  // Whether networks see frozen variables at all: not with kernel 1, nor if every dilation is even.
  bool couples() const;

  // The parity of the sites that layer `i` changes.
  static int active_parity(std::size_t layer) { return static_cast<int>(layer % 2); }

  // All tensors, in the order of the flat array.
  const std::vector<Parameter>& parameters() const& { return parameters_; }
  const std::vector<Parameter>& parameters() && = delete;  // a temporary's would dangle
  std::size_t parameter_count() const;

  // Throws `kInternal` unless `weights` is `parameter_count()`.
  void refuse_other_count(std::size_t weights) const;

  // Initial weights: uniform on +-1/sqrt(fan_in), the last convolution of every network scaled by `[flow]
  // init_scale`; noise purpose `init`, index = the tensor's number. theta = log `prior_mass2`, alpha = 0.
  std::vector<double> initial_weights(NoiseKey key) const;

 private:
  Prior prior_;
  double prior_mass2_;
  std::size_t layers_, dimensions_;
  std::vector<std::int64_t> channels_;
  std::int64_t kernel_;
  std::vector<std::int64_t> dilation_;  // [convolution]
  bool bias_;
  Activation activation_, output_;
  bool z2_, rescales_;
  double init_scale_;
  std::vector<Parameter> parameters_;
};

}  // namespace flowloom
