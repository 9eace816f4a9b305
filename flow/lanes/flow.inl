// The walk over the lattice: a flow for blocks of kLanes samples, on the Lanes of one instruction set.

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

using Field = std::vector<Row<double>>;  // [site]

inline std::size_t active_parity(std::size_t layer) {
  return static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
}

// What one evaluation of a layer's network works on and leaves behind.
template <class Real>
struct Evaluation {
  // For sampling, where each convolution reads one of two buffers and writes the other.
  Evaluation(const Tables& tables, const PackedWeights<Real>& weights)
      : frozen(tables.volume / 2),
        outputs(2, std::vector<Row<Real>>(weights.widest() * tables.volume)),
        arguments(weights.networks.front().size()) {}

  // For gradients: everything is kept.
  Evaluation(const Tables& tables, const std::vector<Convolution<Real>>& network)
      : frozen(tables.volume / 2), arguments(network.size()) {
    for (std::size_t i = 0; i < network.size(); ++i) {
      const std::size_t sites = i + 1 < network.size() ? tables.volume : tables.volume / 2;
      outputs.emplace_back(sites * network[i].out);
      if (keeps_argument(network[i].activation)) arguments[i].resize(outputs.back().size());
    }
  }

  std::vector<Row<Real>>& outputs_of(std::size_t convolution) { return outputs[convolution % outputs.size()]; }

  std::vector<Row<Real>> frozen;                  // [frozen site]
  std::vector<std::vector<Row<Real>>> outputs;    // [convolution]
  std::vector<std::vector<Row<Real>>> arguments;  // [convolution], of activations whose slope needs them
};

// A flow with its weights, for one field at a time. The caller owns what it refers to.
template <class Theory, class Real>
class LanesFlow {
 public:
  using V = Lanes<double>;

  LanesFlow(const Theory& theory, const Tables& tables, const PackedWeights<Real>& weights, bool z2)
      : theory_(theory), tables_(tables), weights_(weights), z2_(z2) {}

  // Networks' evaluations that are held at once; with z2, that for the negative is the last.
  struct Scratch {
    std::vector<Evaluation<Real>> evaluations;
    std::vector<Row<Real>> mirrored;  // s and t of the negative, where one evaluation serves for both
  };
  Scratch scratch_for_sampling() const {
    return {{Evaluation<Real>(tables_, weights_)}, std::vector<Row<Real>>(z2_ ? tables_.volume : 0)};
  }
  Scratch scratch_for_gradients() const {
    return {std::vector<Evaluation<Real>>(z2_ ? 2 : 1, Evaluation<Real>(tables_, weights_.networks.front())), {}};
  }

  // Standard normals at the addresses first, first + 1, ... of each lane (spec/noise.h). Lanes from `count` on repeat the first.
  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count = kLanes) const {
    using B = Words<std::uint64_t>;
    Row<double> numbers;
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      numbers.lane[lane] = std::bit_cast<double>(first + (lane < count ? lane : 0));
    const B index = bits(V(numbers));
    for (std::size_t x = 0; x < tables_.volume; x += 2) {
      const auto pair = normals_of_uniforms(
          uniform_pair(key.words, static_cast<std::uint64_t>(purpose), index, static_cast<std::uint64_t>(x / 2)));
      pair[0].store(field[x]);
      if (x + 1 < tables_.volume) pair[1].store(field[x + 1]);
    }
  }

  V noise_log_density(const Field& field) const {
    const V sum = blocked_sum(tables_.volume, [&](std::size_t x) { return normal_log_density(V(field[x])); });
    return sum - V(normal_log_constant(tables_.volume));
  }

  V forward_sum(const Field& field, std::size_t x) const {
    V sum(field[tables_.forward[0][x]]);
    for (std::size_t mu = 1; mu < tables_.forward.size(); ++mu) sum = sum + V(field[tables_.forward[mu][x]]);
    return sum;
  }

  Sums<Theory::kSums> lattice_sums(const Field& field) const {
    return blocked_sum(tables_.volume, [&](std::size_t x) {
      return Sums<Theory::kSums>{LocalDensities<Theory>::at(V(field[x]), forward_sum(field, x))};
    });
  }

  // Noise to field; returns log_det of this map.
  V forward(Field& field, Scratch& scratch) const {
    V log_det = apply_prior(field);
    for (std::size_t layer = 0; layer < weights_.networks.size(); ++layer) {
      log_det = log_det + couple(layer, field, scratch,
                                 [](const V& x, const V& s, const V& t) { return affine_forward(x, s, t); });
    }
    return log_det + rescale(field, weights_.log_scale);
  }

  // Field to noise; returns log_det of this map.
  V inverse(Field& field, Scratch& scratch) const {
    V log_det = rescale(field, -weights_.log_scale);
    for (std::size_t layer = weights_.networks.size(); layer-- > 0;) {
      log_det = log_det - couple(layer, field, scratch,
                                 [](const V& y, const V& s, const V& t) { return affine_inverse(y, s, t); });
    }
    return log_det - apply_inverse_prior(field);
  }

  // The free field's map and its inverse; both return the log_det of noise -> field.
  V apply_prior(Field& field) const {
    return with_modes(field, [&](std::size_t k, const V& mode) { return mode * weights_.prior->amplitude[k]; });
  }
  V apply_inverse_prior(Field& field) const {
    return with_modes(field, [&](std::size_t k, const V& mode) { return mode / V(weights_.prior->amplitude[k]); });
  }

  // Multiplies the field by e^log_scale; returns log_det.
  V rescale(Field& field, double log_scale) const {
    if (log_scale == 0) return V(0.0);
    const V scale = exp(V(log_scale));
    for (Row<double>& variable : field) (V(variable) * scale).store(variable);
    return V(log_scale) * V(static_cast<double>(tables_.volume));
  }

  // The field to the modes of the free field, or back: the basis is its own inverse (flow/free_field.h).
  void transform(Field& field) const {
    std::vector<Row<double>> line;
    std::size_t stride = tables_.volume;
    for (std::size_t mu = 0; mu < tables_.extents.size(); ++mu) {
      const std::size_t length = tables_.extents[mu];
      stride /= length;
      line.resize(length);
      for (std::size_t start = 0; start < tables_.volume; ++start) {
        if (start / stride % length != 0) continue;  // not the first site of a line
        for (std::size_t k = 0; k < length; ++k) line[k] = field[start + k * stride];
        for (std::size_t k = 0; k < length; ++k) {
          const double* cas = &tables_.basis->cas[mu][k * length];
          V sum(0.0);
          for (std::size_t x = 0; x < length; ++x) sum = fma(V(cas[x]), V(line[x]), sum);
          sum.store(field[start + k * stride]);
        }
      }
    }
  }

  // The network's s and t [active site][2] for the frozen variables, in evaluations.front(); with z2 made even and odd, with
  // what belongs to the negative in evaluations.back(). Calls each(i, s, t) for the active site i and returns the sum of s.
  template <class Each>
  V s_and_t(std::size_t layer, const Field& field, Scratch& scratch, Each each) const {
    const std::size_t count = tables_.sites[active_parity(layer)].size();
    const Row<Real>* mirrored = nullptr;
    if (z2_) {
      mirrored = evaluate(layer, Real(-1), field, scratch.evaluations.back());
      if (scratch.evaluations.size() == 1) {
        std::copy_n(mirrored, 2 * count, scratch.mirrored.begin());
        mirrored = scratch.mirrored.data();
      }
    }
    const Row<Real>* found = evaluate(layer, Real(1), field, scratch.evaluations.front());
    return blocked_sum(count, [&](std::size_t i) {
      V s = to_double(Lanes<Real>(found[2 * i]));
      V t = to_double(Lanes<Real>(found[2 * i + 1]));
      if (z2_) {
        s = even_part(s, to_double(Lanes<Real>(mirrored[2 * i])));
        t = odd_part(t, to_double(Lanes<Real>(mirrored[2 * i + 1])));
      }
      each(i, s, t);
      return s;
    });
  }

  // Fields are [sample][site]. Lanes without a sample repeat the first.
  void load_fields(std::span<const double> fields, Field& field) const {
    const std::size_t n = fields.size() / tables_.volume;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double* own = &fields[(lane < n ? lane : 0) * tables_.volume];
      for (std::size_t x = 0; x < tables_.volume; ++x) field[x].lane[lane] = own[x];
    }
  }

 private:
  // s and t for the frozen variables times `sign`.
  const Row<Real>* evaluate(std::size_t layer, Real sign, const Field& field, Evaluation<Real>& evaluation) const {
    const auto active = active_parity(layer);
    const auto& frozen = tables_.sites[1 - active];
    for (std::size_t i = 0; i < frozen.size(); ++i) {
      (from_double<Real>(V(field[frozen[i]])) * sign).store(evaluation.frozen[i]);
    }
    const Row<Real>* input = evaluation.frozen.data();
    for (std::size_t i = 0; i < weights_.networks[layer].size(); ++i) {
      Row<Real>* output = evaluation.outputs_of(i).data();
      const Kept<Real> kept{.arguments = evaluation.arguments[i].empty() ? nullptr : evaluation.arguments[i].data()};
      const auto& convolution = weights_.networks[layer][i];
      const auto& stencils = tables_.convolutions[active][i];
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        convolve(stencils[k], convolution, convolution.weights[k].data(), input, output, kept);
      }
      input = output;
    }
    return input;
  }

  // Applies `change(variable, s, t)` to the active variables of one layer and returns the sum of its s.
  template <class Change>
  FLOWLOOM_FLATTEN V couple(std::size_t layer, Field& field, Scratch& scratch, Change change) const {
    const auto& active = tables_.sites[active_parity(layer)];
    return s_and_t(layer, field, scratch, [&](std::size_t i, const V& s, const V& t) {
      Row<double>& variable = field[active[i]];
      change(V(variable), s, t).store(variable);
    });
  }

  // Changes the modes of a field; nothing with the normal prior. Returns the log_det of noise -> field.
  template <class Change>
  V with_modes(Field& field, Change change) const {
    if (!weights_.prior) return V(0.0);
    transform(field);
    for (std::size_t k = 0; k < tables_.volume; ++k) change(k, V(field[k])).store(field[k]);
    transform(field);
    return V(weights_.prior->log_det);
  }

  const Theory& theory_;
  const Tables& tables_;
  const PackedWeights<Real>& weights_;
  bool z2_;
};

// The first lanes to numbers, NaNs made the canonical one.
inline void store_lanes(const Lanes<double>& lanes, std::span<double> out) {
  Row<double> row;
  canonical(lanes).store(row);
  std::copy_n(row.lane, out.size(), out.begin());
}
