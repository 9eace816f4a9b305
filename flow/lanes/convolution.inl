// The networks' convolutions for blocks of kLanes samples: forward, transposed, and their slopes by the weights.

// f(sum) for sums that stay in registers.
template <std::size_t kSites, std::size_t kOut, class V, class F>
[[gnu::always_inline]] inline void each_sum(V (&sums)[kSites][kOut], F f) {
  FLOWLOOM_UNROLL for (std::size_t o = 0; o < kOut; ++o) {
    FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) f(sums[s][o], s, o);
  }
}

// Calls f(begin, count) for consecutive parts of [0, total), as few as can be with at most kMost in each, of kMost or
// one less where `total` is large enough for that, else of one; f is a template on the count.
template <std::size_t kMost, class F>
void in_tiles(std::size_t total, F f) {
  const std::size_t tiles = (total + kMost - 1) / kMost;
  if (total + tiles < tiles * kMost) {
    for (std::size_t begin = 0; begin < total; ++begin) f.template operator()<1>(begin);
    return;
  }
  std::size_t begin = 0;
  for (const std::size_t full = total - tiles * (kMost - 1); begin < full * kMost; begin += kMost) {
    f.template operator()<kMost>(begin);
  }
  if constexpr (kMost > 1) {
    for (; begin < total; begin += kMost - 1) f.template operator()<kMost - 1>(begin);
  }
}

// Calls f(first) for the parts of [0, out) that are computed at once; f is a template on their number.
template <std::size_t kMost, class F>
void in_outputs(std::size_t out, F f) {
  std::size_t first = 0;
  const auto parts = [&]<std::size_t kOut>() {
    if constexpr (kOut <= kMost) {
      for (; first + kOut <= out; first += kOut) f.template operator()<kOut>(first);
    }
  };
  parts.template operator()<8>();
  parts.template operator()<4>();
  parts.template operator()<2>();
  parts.template operator()<1>();
}

// Besides its sums, what a convolution keeps or takes; rows at the places of its outputs.
template <class Real>
struct Kept {
  Row<Real>* arguments = nullptr;  // keeps what goes into the activation
  const Row<Real>* slopes_of =
      nullptr;  // instead of applying the activation, multiplies by its slope at these (slope())
};

// A convolution's outputs [first, first + kOut) at kSites sites at once, their sums held in registers:
//   sum[o] = bias[o] + sum over taps, then channels, of weight[tap][channel][o] * input[neighbour(tap)][channel]
// `inputs` and `outputs` are the sites' own parts of the stencil's.
template <std::size_t kOut, std::size_t kSites, class Real>
[[gnu::noinline]] void convolve_tile(const Convolution<Real>& convolution, const Real* weights, std::size_t first,
                                     const std::uint32_t* inputs, std::size_t taps, const Row<Real>* input,
                                     const std::uint32_t* outputs, Row<Real>* output, const Row<Real>* slopes_of) {
  using V = Lanes<Real>;
  const std::size_t in = convolution.in, out = convolution.out;
  V sums[kSites][kOut];
  each_sum(sums, [&](V& sum, std::size_t, std::size_t o) { sum = V(convolution.bias[first + o]); });
  const Real* weight = taps > 0 ? weights + first : nullptr;  // without taps there are none
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const Row<Real>* from[kSites];
    FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) from[s] = input + inputs[s * taps + tap] * in;
    for (std::size_t channel = 0; channel < in; ++channel, weight += out) {
      V x[kSites];
      FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) x[s] = V(from[s][channel]);
      each_sum(sums, [&](V& sum, std::size_t s, std::size_t o) { sum = fma(V(weight[o]), x[s], sum); });
    }
  }
  std::size_t place[kSites];
  FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) place[s] = outputs[s] * out + first;
  // What is_cheap is done here; what costs more would take the sums' registers.
  if (slopes_of) {
    const auto multiply = [&](auto slope) {
      each_sum(sums, [&](V& sum, std::size_t s, std::size_t o) { sum = sum * slope(V(slopes_of[place[s] + o])); });
    };
    if (convolution.activation == Activation::kLeakyRelu) {
      multiply([](const V& value) { return leaky_relu_slope(value, kLeakySlope); });
    } else if (convolution.activation == Activation::kRelu) {
      multiply([](const V& value) { return leaky_relu_slope(value, 0.0); });
    }
  } else if (convolution.activation == Activation::kLeakyRelu) {
    each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = leaky_relu(sum, kLeakySlope); });
  } else if (convolution.activation == Activation::kRelu) {
    each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = relu(sum); });
  }
  each_sum(sums, [&](const V& sum, std::size_t s, std::size_t o) { sum.store(output[place[s] + o]); });
}

// All sites of a stencil for outputs [first, first + kOut).
template <std::size_t kOut, class Real>
void convolve_outputs(const Stencil& stencil, const Convolution<Real>& convolution, const Real* weights,
                      std::size_t first, const Row<Real>* input, Row<Real>* output, const Kept<Real>& kept) {
  constexpr std::size_t kSites = std::clamp<std::size_t>(kRowsOfSums<Real> / kOut, 1, 8);
  const std::size_t taps = stencil.taps.size();
  in_tiles<kSites>(stencil.outputs.size(), [&]<std::size_t kCount>(std::size_t site) {
    const std::uint32_t* outputs = stencil.outputs.data() + site;
    convolve_tile<kOut, kCount>(convolution, weights, first, stencil.inputs.data() + site * taps, taps, input, outputs,
                                output, kept.slopes_of);
    if (is_cheap(convolution.activation)) return;
    const auto each = [&](auto f) {
      for (std::size_t s = 0; s < kCount; ++s) {
        const std::size_t place = outputs[s] * convolution.out + first;
        for (std::size_t i = place; i < place + kOut; ++i) f(output[i], i);
      }
    };
    using V = Lanes<Real>;
    if (kept.arguments) each([&](const Row<Real>& row, std::size_t i) { kept.arguments[i] = row; });
    // (In parentheses, for the template of this namespace: the argument's type would also find that of plain numbers.)
    if (kept.slopes_of) {
      (with_slope)(convolution.activation, [&](auto slope) {
        each([&](Row<Real>& row, std::size_t i) { (V(row) * slope(V(kept.slopes_of[i]))).store(row); });
      });
    } else {
      (with_activation)(convolution.activation, [&](auto activate) {
        each([&](Row<Real>& row, std::size_t) { activate(V(row)).store(row); });
      });
    }
  });
}

template <class Real>
void convolve(const Stencil& stencil, const Convolution<Real>& convolution, const Real* weights, const Row<Real>* input,
              Row<Real>* output, const Kept<Real>& kept) {
  in_outputs<kMostOutputs<Real>>(convolution.out, [&]<std::size_t kOut>(std::size_t first) {
    convolve_outputs<kOut>(stencil, convolution, weights, first, input, output, kept);
  });
}

// Adds to the slopes by weights of kColumns columns, a column being a tap and a channel of it, and outputs
// [first, first + kOut), over outputs [begin, end) of the stencil:
//   gradient[column][o] += sum over sites of input[neighbour(tap)][channel] * slopes[site][o]
template <std::size_t kOut, std::size_t kColumns, class Real>
[[gnu::noinline]] void correlate_tile(const Stencil& stencil, std::size_t begin, std::size_t end, std::size_t column,
                                      std::size_t in, const Row<Real>* input, std::size_t first, std::size_t out,
                                      const Row<Real>* slopes, Row<Real>* gradient) {
  using V = Lanes<Real>;
  V sums[kColumns][kOut];
  each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = V(Real(0)); });
  std::size_t tap[kColumns], channel[kColumns];
  for (std::size_t c = 0; c < kColumns; ++c) tap[c] = (column + c) / in, channel[c] = (column + c) % in;
  const std::size_t taps = stencil.taps.size();
  for (std::size_t i = begin; i < end; ++i) {
    const Row<Real>* slope = slopes + stencil.outputs[i] * out + first;
    const std::uint32_t* from = stencil.inputs.data() + i * taps;
    V x[kColumns];
    FLOWLOOM_UNROLL for (std::size_t c = 0; c < kColumns; ++c) x[c] = V(input[from[tap[c]] * in + channel[c]]);
    each_sum(sums, [&](V& sum, std::size_t c, std::size_t o) { sum = fma(x[c], V(slope[o]), sum); });
  }
  each_sum(sums, [&](const V& sum, std::size_t c, std::size_t o) {
    Row<Real>& row = gradient[(column + c) * out + first + o];
    (V(row) + sum).store(row);
  });
}

// Adds a convolution's slopes by its weights, in the order of Convolution::weights, and by its bias. The sums over
// sites are taken within kSumBlock consecutive ones, and these added in order, whatever the tiles.
template <class Real>
void correlate(const Stencil& stencil, const Convolution<Real>& convolution, const Row<Real>* input,
               const Row<Real>* slopes, Row<Real>* gradient, Row<Real>* bias) {
  using V = Lanes<Real>;
  const std::size_t columns = stencil.taps.size() * convolution.in, count = stencil.outputs.size();
  for (std::size_t begin = 0; begin < count; begin += kSumBlock) {
    const std::size_t end = std::min(count, begin + kSumBlock);
    in_outputs<kMostOutputs<Real>>(convolution.out, [&]<std::size_t kOut>(std::size_t first) {
      constexpr std::size_t kColumns = std::clamp<std::size_t>(kRowsOfSums<Real> / kOut, 1, 8);
      in_tiles<kColumns>(columns, [&]<std::size_t kCount>(std::size_t column) {
        correlate_tile<kOut, kCount>(stencil, begin, end, column, convolution.in, input, first, convolution.out, slopes,
                                     gradient);
      });
      V sums[1][kOut];
      each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = V(Real(0)); });
      for (std::size_t i = begin; i < end; ++i) {
        const Row<Real>* slope = slopes + stencil.outputs[i] * convolution.out + first;
        each_sum(sums, [&](V& sum, std::size_t, std::size_t o) { sum = sum + V(slope[o]); });
      }
      each_sum(sums,
               [&](const V& sum, std::size_t, std::size_t o) { (V(bias[first + o]) + sum).store(bias[first + o]); });
    });
  }
}
