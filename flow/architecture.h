// What all kinds of flows have, without any engine: layers, each with a convolution network, and their weights, one
// flat array of all tensors in the order of `parameters()`. No weight depends on the lattice's extents.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flow/network_shape.h"
#include "spec/noise.h"

namespace flowloom {

// What a layer's network may see, its other inputs being zero, and the sites for which it gives numbers: what does not
// change in a layer, and what does. A site's channels come in groups, equally many in each, that are seen or not seen
// as one: the variable of a scalar field; of gauge fields each loop (flow/loop_coupling.h). An input is the group
// number site * groups + group. Ascending.
struct CouplingSites {
  std::vector<std::uint32_t> inputs, outputs;
  std::size_t groups = 1;
};

class Architecture {
 public:
  std::size_t layers() const { return layers_; }
  std::size_t dimensions() const { return dimensions_; }
  const NetworkShape& network() const { return network_; }

  // What of it only the engine "torch" has ("activation gelu"), or nothing.
  std::string only_torch() const { return network_.only_torch(); }

  // All tensors, in the order of the flat array.
  const std::vector<Parameter>& parameters() const& { return parameters_; }
  const std::vector<Parameter>& parameters() && = delete;  // a temporary's would dangle
  std::size_t parameter_count() const;

  // Throws `kInternal` unless `weights` is `parameter_count()`.
  void refuse_other_count(std::size_t weights) const;

  // Initial weights (flow/network_shape.h); noise purpose `init`, index = the tensor's number.
  std::vector<double> initial_weights(NoiseKey key) const;

 protected:
  Architecture(std::size_t layers, std::size_t dimensions, NetworkShape network)
      : layers_(layers), dimensions_(dimensions), network_(std::move(network)) {}
  ~Architecture() = default;
  Architecture(const Architecture&) = default;
  Architecture& operator=(const Architecture&) = default;

  // Adds the networks of all layers, or one number of its own.
  void add_networks(double init_scale);
  void add_number(const std::string& name, double initial) { parameters_.push_back({name, {1}, 0, 1, initial}); }

 private:
  std::size_t layers_, dimensions_;
  NetworkShape network_;
  std::vector<Parameter> parameters_;
};

// Throws `kInvalidInput` with the place if `flow` has more weights than anybody can want.
void refuse_too_many_weights(const Architecture& flow, const Section& section);

}  // namespace flowloom
