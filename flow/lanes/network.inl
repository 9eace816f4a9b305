// A layer's network for blocks of kLanes samples, there and back.

// What one evaluation of a layer's network works on and leaves behind.
template <class Real>
struct Evaluation {
  // For sampling, where each convolution reads one of two buffers and writes the other.
  Evaluation(const NetworkTables& tables, const PackedNetworks<Real>& weights)
      : Evaluation(tables, weights, std::vector<std::size_t>(2, weights.widest() * tables.sites)) {}

  // For gradients: everything is kept.
  static Evaluation keeping_all(const NetworkTables& tables, const PackedNetworks<Real>& weights) {
    std::vector<std::size_t> sizes;
    for (const auto& convolution : weights.networks.front()) sizes.push_back(convolution.out * tables.sites);
    Evaluation evaluation(tables, weights, sizes);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (keeps_argument(weights.networks.front()[i].activation)) evaluation.arguments[i].resize(sizes[i]);
    }
    return evaluation;
  }

  std::vector<Row<Real>>& outputs_of(std::size_t convolution) { return outputs[convolution % outputs.size()]; }

  std::vector<Row<Real>> input;                   // [input][channel]
  std::vector<std::vector<Row<Real>>> outputs;    // [convolution]; for sampling, of even and of odd ones
  std::vector<std::vector<Row<Real>>> arguments;  // [convolution], of activations whose slope needs them

 private:
  Evaluation(const NetworkTables& tables, const PackedNetworks<Real>& weights, const std::vector<std::size_t>& sizes)
      : arguments(weights.networks.front().size()) {
    std::size_t inputs = 0;
    for (const CouplingSites& mask : tables.masks) inputs = std::max(inputs, mask.inputs.size());
    input.resize(inputs * weights.networks.front().front().in);
    for (const std::size_t size : sizes) outputs.emplace_back(size);
  }
};

// The networks of a flow (in functions of their own, which those that call them and are flattened do not repeat); the
// caller owns what it refers to.
template <class Real>
class Networks {
 public:
  Networks(const NetworkTables& tables, const PackedNetworks<Real>& weights) : tables_(tables), weights_(weights) {}

  // From evaluation.input to the outputs [output site][channel], which stand in the evaluation.
  [[gnu::noinline]] const Row<Real>* evaluate(std::size_t layer, Evaluation<Real>& evaluation) const {
    const Row<Real>* input = evaluation.input.data();
    for (std::size_t i = 0; i < weights_.networks[layer].size(); ++i) {
      Row<Real>* output = evaluation.outputs_of(i).data();
      const Kept<Real> kept{.arguments = evaluation.arguments[i].empty() ? nullptr : evaluation.arguments[i].data()};
      const auto& convolution = weights_.networks[layer][i];
      const auto& stencils = tables_.convolutions[tables_.mask_of(layer)][i];
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        convolve(stencils[k], convolution, convolution.weights[k].data(), input, output, kept);
      }
      input = output;
    }
    return input;
  }

 private:
  const NetworkTables& tables_;
  const PackedNetworks<Real>& weights_;
};

// The way back, with the slopes by the weights as they are added up.
template <class Real>
class NetworksBack {
 public:
  NetworksBack(const NetworkTables& tables, const PackedNetworks<Real>& weights)
      : tables_(tables), weights_(weights), slopes_(weights) {
    const auto inputs = static_cast<std::size_t>(tables.shape.channels.front());
    for (auto& buffer : inner_) buffer.resize(std::max(weights.widest(), inputs) * tables.sites);
  }

  // From the slopes by the outputs of an evaluation that has kept all, which are overwritten, to those by its inputs
  // [input][channel]; adds the slopes by the layer's weights on request.
  [[gnu::noinline]] const Row<Real>* pull_back(std::size_t layer, bool add_slopes, Evaluation<Real>& evaluation,
                                               std::vector<Row<Real>>& outer) {
    const std::size_t mask = tables_.mask_of(layer);
    const auto& network = weights_.networks[layer];
    const auto slopes_of = [&](std::size_t convolution) -> const Row<Real>* {
      return (keeps_argument(network[convolution].activation) ? evaluation.arguments[convolution]
                                                              : evaluation.outputs_of(convolution))
          .data();
    };
    const Row<Real>* last = slopes_of(network.size() - 1);
    (with_slope)(network.back().activation, [&](auto slope) {
      for (std::size_t i = 0; i < network.back().out * tables_.masks[mask].outputs.size(); ++i) {
        (Lanes<Real>(outer[i]) * slope(Lanes<Real>(last[i]))).store(outer[i]);
      }
    });
    const Row<Real>* slopes = outer.data();
    for (std::size_t i = network.size(); i-- > 0;) {
      if (add_slopes) {
        const Row<Real>* input = i == 0 ? evaluation.input.data() : evaluation.outputs_of(i - 1).data();
        auto& sums = slopes_.networks[layer][i];
        const auto& stencils = tables_.convolutions[mask][i];
        for (std::size_t k = 0; k < stencils.size(); ++k) {
          correlate(stencils[k], network[i], input, slopes, sums.weights[k].data(), sums.bias.data());
        }
      }
      const auto& transposed = weights_.transposed[layer][i];
      const auto& stencils = tables_.transposed[mask][i];
      const Kept<Real> kept{.slopes_of = i == 0 ? nullptr : slopes_of(i - 1)};
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        convolve(stencils[k], transposed, transposed.weights[k].data(), slopes, inner_[i % 2].data(), kept);
      }
      slopes = inner_[i % 2].data();
    }
    return slopes;
  }

  // Appends what has been added up; leaves zeros.
  void take(std::vector<double>& all) { slopes_.take(tables_, all); }

 private:
  const NetworkTables& tables_;
  const PackedNetworks<Real>& weights_;
  NetworkSlopes<Real> slopes_;
  std::array<std::vector<Row<Real>>, 2> inner_;  // by hidden layers, one is read while the other is written
};
