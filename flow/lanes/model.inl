// The walk over the lattice: a flow for blocks of kLanes samples, on the Lanes of one instruction set.

// f(sum) for sums that stay in registers.
template <std::size_t kSites, std::size_t kOut, class V, class F>
[[gnu::always_inline]] inline void each_sum(V (&sums)[kSites][kOut], F f) {
  FLOWLOOM_UNROLL for (std::size_t o = 0; o < kOut; ++o) {
    FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) f(sums[s][o], s, o);
  }
}

// A convolution's outputs [first, first + kOut) at kSites sites at once, their sums held in registers:
//   sum[o] = bias[o] + sum over taps, then channels, of weight[tap][channel][o] * input[neighbour(tap)][channel]
template <std::size_t kOut, std::size_t kSites, class Real>
[[gnu::noinline]] void convolve_tile(const Convolution<Real>& convolution, const Real* weights, std::size_t first,
                                     const std::uint32_t* inputs, std::size_t taps, const Row<Real>* input,
                                     Row<Real>* const* output) {
  using V = Lanes<Real>;
  const std::size_t in = convolution.in, out = convolution.out;
  V sums[kSites][kOut];
  each_sum(sums, [&](V& sum, std::size_t, std::size_t o) { sum = V(convolution.bias[first + o]); });
  const Real* weight = weights + first;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const Row<Real>* from[kSites];
    FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) from[s] = input + inputs[s * taps + tap] * in;
    for (std::size_t channel = 0; channel < in; ++channel, weight += out) {
      V x[kSites];
      FLOWLOOM_UNROLL for (std::size_t s = 0; s < kSites; ++s) x[s] = V(from[s][channel]);
      each_sum(sums, [&](V& sum, std::size_t s, std::size_t o) { sum = fma(V(weight[o]), x[s], sum); });
    }
  }
  // What is_cheap is done here; what costs more would take the sums' registers.
  if (convolution.activation == Activation::kLeakyRelu) {
    each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = leaky_relu(sum, kLeakySlope); });
  } else if (convolution.activation == Activation::kRelu) {
    each_sum(sums, [](V& sum, std::size_t, std::size_t) { sum = relu(sum); });
  }
  each_sum(sums, [&](const V& sum, std::size_t s, std::size_t o) { sum.store(output[s][first + o]); });
}

// All sites of a stencil for outputs [first, first + kOut).
template <std::size_t kOut, class Real>
void convolve_outputs(const Stencil& stencil, const Convolution<Real>& convolution, const Real* weights,
                      std::size_t first, const Row<Real>* input, Row<Real>* output) {
  constexpr std::size_t kSites = std::clamp<std::size_t>(kRowsOfSums<Real> / kOut, 1, 8);
  const std::size_t count = stencil.outputs.size(), taps = stencil.taps.size();
  const auto tile = [&]<std::size_t kCount>(std::size_t site) {
    Row<Real>* to[kCount];
    for (std::size_t s = 0; s < kCount; ++s) to[s] = output + stencil.outputs[site + s] * convolution.out;
    convolve_tile<kOut, kCount>(convolution, weights, first, stencil.inputs.data() + site * taps, taps, input, to);
    if (is_cheap(convolution.activation)) return;
    // (In parentheses, for the template of this namespace: the argument's type would also find that of plain numbers.)
    (with_activation)(convolution.activation, [&](auto activate) {
      for (std::size_t s = 0; s < kCount; ++s) {
        for (std::size_t o = first; o < first + kOut; ++o) activate(Lanes<Real>(to[s][o])).store(to[s][o]);
      }
    });
  };
  // As few tiles as can be, of kSites sites or one less, where there are enough sites for that.
  const std::size_t tiles = (count + kSites - 1) / kSites;
  if (count + tiles < tiles * kSites) {
    for (std::size_t site = 0; site < count; ++site) tile.template operator()<1>(site);
    return;
  }
  std::size_t site = 0;
  for (const std::size_t full = count - tiles * (kSites - 1); site < full * kSites; site += kSites) {
    tile.template operator()<kSites>(site);
  }
  if constexpr (kSites > 1) {
    for (; site < count; site += kSites - 1) tile.template operator()<kSites - 1>(site);
  }
}

template <class Real>
void convolve(const Stencil& stencil, const Convolution<Real>& convolution, const Real* weights, const Row<Real>* input,
              Row<Real>* output) {
  std::size_t first = 0;
  const auto outputs = [&]<std::size_t kOut>() {
    if constexpr (kOut <= kMostOutputs<Real>) {
      for (; first + kOut <= convolution.out; first += kOut) {
        convolve_outputs<kOut>(stencil, convolution, weights, first, input, output);
      }
    }
  };
  outputs.template operator()<8>();
  outputs.template operator()<4>();
  outputs.template operator()<2>();
  outputs.template operator()<1>();
}

// The sum of of(i) over i < count: within blocks, then over the blocks, always in order; of(i) is called once for each i.
template <class Of>
auto blocked_sum(std::size_t count, Of of) {
  const auto sum_of_block = [&](std::size_t begin) {
    auto sum = of(begin);
    for (std::size_t i = begin + 1; i < std::min(count, begin + kSumBlock); ++i) sum = sum + of(i);
    return sum;
  };
  auto sum = sum_of_block(0);
  for (std::size_t begin = kSumBlock; begin < count; begin += kSumBlock) sum = sum + sum_of_block(begin);
  return sum;
}

// A few values added together.
template <std::size_t kCount>
struct Sums {
  std::array<Lanes<double>, kCount> of;
};
template <std::size_t kCount>
Sums<kCount> operator+(Sums<kCount> a, const Sums<kCount>& b) {
  FLOWLOOM_UNROLL for (std::size_t k = 0; k < kCount; ++k) a.of[k] = a.of[k] + b.of[k];
  return a;
}

template <class Theory, class Real>
class LanesModel final : public Model {
 public:
  LanesModel(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights)
      : theory_(theory),
        z2_(architecture.z2()),
        tables_(theory.geometry(), architecture),
        weights_(tables_, theory.geometry(), architecture, weights) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const override {
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(count * tables_.volume)};
    Block block(*this);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      draw_noise(key, purpose, first + begin, block);
      const V log_noise = noise_log_density(block);
      const V log_q = log_noise - forward(block);
      const auto sums = lattice_sums(block);
      const std::size_t n = std::min(kLanes, count - begin);
      store(log_q, std::span(draws.log_q).subspan(begin, n));
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store(sums.of[k], std::span(draws.sums).subspan(k * count + begin, n));
      }
      for (std::size_t i = begin; i < begin + n; ++i) draws.log_p[i] = log_target(theory_, draws.sums, count, i);
      store_fields(block, std::span(draws.fields).subspan(begin * tables_.volume, n * tables_.volume));
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::size_t count = fields.size() / tables_.volume;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    std::vector<double> sums(Theory::kSums * count);
    Block block(*this);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      load_fields(fields.subspan(begin * tables_.volume, n * tables_.volume), block);
      const std::vector<Row<double>> given = block.field;
      const auto own = lattice_sums(block);
      for (std::size_t k = 0; k < Theory::kSums; ++k) store(own.of[k], std::span(sums).subspan(k * count + begin, n));
      for (std::size_t i = begin; i < begin + n; ++i) densities.log_p[i] = log_target(theory_, sums, count, i);
      const V log_det = inverse(block);
      store(noise_log_density(block) + log_det, std::span(densities.log_q).subspan(begin, n));
      forward(block);
      V largest(0.0);
      for (std::size_t x = 0; x < tables_.volume; ++x) largest = larger_gap(largest, V(block.field[x]), V(given[x]));
      store(largest, std::span(densities.round_trip).subspan(begin, n));
    }
    return densities;
  }

 private:
  using V = Lanes<double>;

  struct Block {
    explicit Block(const LanesModel& model) : field(model.tables_.volume) {
      for (auto& buffer : layers) buffer.resize(model.weights_.widest() * model.tables_.volume);
      mirrored.resize(model.z2_ ? model.tables_.volume : 0);
      frozen.resize(model.tables_.volume / 2);
    }

    std::vector<Row<double>> field;                // [site]
    std::vector<Row<Real>> frozen;                 // [frozen site]
    std::array<std::vector<Row<Real>>, 2> layers;  // one is read while the other is written
    std::vector<Row<Real>> mirrored;               // s and t of the negative
  };

  // Standard normals at the addresses first, first + 1, ... of each lane (spec/noise.h).
  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Block& block) const {
    using B = Words<std::uint64_t>;
    Row<double> numbers;
    for (std::size_t lane = 0; lane < kLanes; ++lane) numbers.lane[lane] = std::bit_cast<double>(first + lane);
    const B index = bits(V(numbers));
    for (std::size_t x = 0; x < tables_.volume; x += 2) {
      const auto pair = normals_of_uniforms(
          uniform_pair(key.words, static_cast<std::uint64_t>(purpose), index, static_cast<std::uint64_t>(x / 2)));
      pair[0].store(block.field[x]);
      if (x + 1 < tables_.volume) pair[1].store(block.field[x + 1]);
    }
  }

  // The network's outputs [active site][s, t] for the frozen variables times `sign`.
  const Row<Real>* evaluate(std::size_t layer, Real sign, Block& block) const {
    const auto active = active_parity(layer);
    const auto& frozen = tables_.sites[1 - active];
    for (std::size_t i = 0; i < frozen.size(); ++i) {
      (from_double<Real>(V(block.field[frozen[i]])) * sign).store(block.frozen[i]);
    }
    const Row<Real>* input = block.frozen.data();
    for (std::size_t i = 0; i < weights_.networks[layer].size(); ++i) {
      Row<Real>* output = block.layers[i % 2].data();
      const auto& convolution = weights_.networks[layer][i];
      const auto& stencils = tables_.convolutions[active][i];
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        convolve(stencils[k], convolution, convolution.weights[k].data(), input, output);
      }
      input = output;
    }
    return input;
  }

  // Applies `change(variable, s, t)` to the active variables of one layer and returns the sum of its s.
  template <class Change>
  FLOWLOOM_FLATTEN V couple(std::size_t layer, Block& block, Change change) const {
    const auto& active = tables_.sites[active_parity(layer)];
    if (z2_) std::copy_n(evaluate(layer, Real(-1), block), 2 * active.size(), block.mirrored.begin());
    const Row<Real>* s_and_t = evaluate(layer, Real(1), block);
    return blocked_sum(active.size(), [&](std::size_t i) {
      V s = to_double(Lanes<Real>(s_and_t[2 * i]));
      V t = to_double(Lanes<Real>(s_and_t[2 * i + 1]));
      if (z2_) {
        s = even_part(s, to_double(Lanes<Real>(block.mirrored[2 * i])));
        t = odd_part(t, to_double(Lanes<Real>(block.mirrored[2 * i + 1])));
      }
      Row<double>& variable = block.field[active[i]];
      change(V(variable), s, t).store(variable);
      return s;
    });
  }

  // Noise to field; returns log_det of this map.
  V forward(Block& block) const {
    V log_det(0.0);
    if (weights_.prior) {
      transform(block);
      for (std::size_t i = 0; i < tables_.volume; ++i) {
        (V(block.field[i]) * weights_.prior->amplitude[i]).store(block.field[i]);
      }
      transform(block);
      log_det = V(weights_.prior->log_det);
    }
    for (std::size_t layer = 0; layer < weights_.networks.size(); ++layer) {
      log_det =
          log_det + couple(layer, block, [](const V& x, const V& s, const V& t) { return affine_forward(x, s, t); });
    }
    return log_det + rescale(block, weights_.log_scale);
  }

  // Field to noise; returns log_det of this map.
  V inverse(Block& block) const {
    V log_det = rescale(block, -weights_.log_scale);
    for (std::size_t layer = weights_.networks.size(); layer-- > 0;) {
      log_det =
          log_det - couple(layer, block, [](const V& y, const V& s, const V& t) { return affine_inverse(y, s, t); });
    }
    if (weights_.prior) {
      transform(block);
      for (std::size_t i = 0; i < tables_.volume; ++i) {
        (V(block.field[i]) / V(weights_.prior->amplitude[i])).store(block.field[i]);
      }
      transform(block);
      log_det = log_det - V(weights_.prior->log_det);
    }
    return log_det;
  }

  // Multiplies the field by e^log_scale; returns log_det.
  V rescale(Block& block, double log_scale) const {
    if (log_scale == 0) return V(0.0);
    const V scale = exp(V(log_scale));
    for (Row<double>& variable : block.field) (V(variable) * scale).store(variable);
    return V(log_scale) * V(static_cast<double>(tables_.volume));
  }

  // The field to the modes of the free field, or back: the basis is its own inverse (flow/free_field.h).
  void transform(Block& block) const {
    const FreeField& prior = *weights_.prior;
    std::vector<Row<double>> line;
    std::size_t stride = tables_.volume;
    for (std::size_t mu = 0; mu < prior.extents.size(); ++mu) {
      const std::size_t length = prior.extents[mu];
      stride /= length;
      line.resize(length);
      for (std::size_t start = 0; start < tables_.volume; ++start) {
        if (start / stride % length != 0) continue;  // not the first site of a line
        for (std::size_t k = 0; k < length; ++k) line[k] = block.field[start + k * stride];
        for (std::size_t k = 0; k < length; ++k) {
          const double* cas = &prior.basis.cas[mu][k * length];
          V sum(0.0);
          for (std::size_t x = 0; x < length; ++x) sum = fma(V(cas[x]), V(line[x]), sum);
          sum.store(block.field[start + k * stride]);
        }
      }
    }
  }

  V noise_log_density(const Block& block) const {
    const V sum = blocked_sum(tables_.volume, [&](std::size_t x) { return normal_log_density(V(block.field[x])); });
    return sum - V(normal_log_constant(tables_.volume));
  }

  Sums<Theory::kSums> lattice_sums(const Block& block) const {
    return blocked_sum(tables_.volume, [&](std::size_t x) {
      V forward_sum(block.field[tables_.forward[0][x]]);
      for (std::size_t mu = 1; mu < tables_.forward.size(); ++mu) {
        forward_sum = forward_sum + V(block.field[tables_.forward[mu][x]]);
      }
      return Sums<Theory::kSums>{LocalDensities<Theory>::at(V(block.field[x]), forward_sum)};
    });
  }

  static void store(const V& lanes, std::span<double> out) {
    Row<double> row;
    canonical(lanes).store(row);
    std::copy_n(row.lane, out.size(), out.begin());
  }

  // Fields are [sample][site]. Lanes without a sample repeat the first.
  void load_fields(std::span<const double> fields, Block& block) const {
    const std::size_t n = fields.size() / tables_.volume;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double* own = &fields[(lane < n ? lane : 0) * tables_.volume];
      for (std::size_t x = 0; x < tables_.volume; ++x) block.field[x].lane[lane] = own[x];
    }
  }
  void store_fields(Block& block, std::span<double> fields) const {
    for (std::size_t x = 0; x < tables_.volume; ++x) canonical(V(block.field[x])).store(block.field[x]);
    for (std::size_t lane = 0; lane < fields.size() / tables_.volume; ++lane) {
      for (std::size_t x = 0; x < tables_.volume; ++x) fields[lane * tables_.volume + x] = block.field[x].lane[lane];
    }
  }

  static std::size_t active_parity(std::size_t layer) {
    return static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
  }

  Theory theory_;
  bool z2_;
  Tables tables_;
  PackedWeights<Real> weights_;
};

std::unique_ptr<Model> make_model(const AnyTheory& any_theory, const AffineCouplingFlow& architecture,
                                  std::span<const double> weights, Precision precision) {
  return std::visit(
      [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Model> {
        if (precision == Precision::kMixed) {
          return std::make_unique<LanesModel<Theory, float>>(theory, architecture, weights);
        }
        return std::make_unique<LanesModel<Theory, double>>(theory, architecture, weights);
      },
      any_theory);
}
