// Affine couplings of a scalar field for blocks of kLanes samples (flow/affine_coupling.h); a flow as
// flow/lanes/flow.inl says.

template <class Theory, class Real>
class AffineFlow {
 public:
  using V = Lanes<double>;
  class Gradients;

  AffineFlow(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights, Use use)
      : theory_(theory),
        architecture_(architecture),
        tables_(theory.geometry(), architecture, use),
        weights_(tables_, architecture, weights),
        networks_(tables_.networks, weights_.networks) {}
  AffineFlow(const AffineFlow&) = delete;  // the networks refer to the others
  AffineFlow& operator=(const AffineFlow&) = delete;

  void set_weights(std::span<const double> weights) { weights_ = AffineWeights<Real>(tables_, architecture_, weights); }

  const Theory& theory() const { return theory_; }
  std::size_t variables() const { return tables_.volume; }

  // Networks' evaluations that are held at once; with z2, that for the negative is the last.
  struct Scratch {
    std::vector<Evaluation<Real>> evaluations;
    std::vector<Row<Real>> mirrored;  // s and t of the negative, where one evaluation serves for both
  };
  Scratch scratch(Use use) const {
    const bool z2 = architecture_.z2();
    if (use == Use::kSampling) {
      return {{Evaluation<Real>(tables_.networks, weights_.networks)}, std::vector<Row<Real>>(z2 ? tables_.volume : 0)};
    }
    return {std::vector(z2 ? 2 : 1, Evaluation<Real>::keeping_all(tables_.networks, weights_.networks)), {}};
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count = kLanes) const {
    each_draw(key, purpose, first, count, field.size(),
              [&](std::size_t d, const auto& uniforms) { store_pair(field, d, normals_of_uniforms(uniforms)); });
  }
  V noise_log_density(const Field& field) const {
    const V sum = blocked_sum(tables_.volume, [&](std::size_t x) { return normal_log_density(V(field[x])); });
    return sum - V(normal_log_constant(tables_.volume));
  }

  V forward(Field& field, Scratch& scratch) const {
    V log_det = apply_prior(field);
    for (std::size_t layer = 0; layer < architecture_.layers(); ++layer) {
      log_det = log_det + couple(layer, field, scratch,
                                 [](const V& x, const V& s, const V& t) { return affine_forward(x, s, t); });
    }
    return log_det + rescale(field, weights_.log_scale);
  }

  V inverse(Field& field, Scratch& scratch) const {
    V log_det = rescale(field, -weights_.log_scale);
    for (std::size_t layer = architecture_.layers(); layer-- > 0;) {
      log_det = log_det - couple(layer, field, scratch,
                                 [](const V& y, const V& s, const V& t) { return affine_inverse(y, s, t); });
    }
    return log_det - apply_inverse_prior(field);
  }

  static V difference(const V& a, const V& b) { return a - b; }

 private:
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

  // Changes the modes of a field; nothing with the normal prior. Returns the log_det of noise -> field.
  template <class Change>
  V with_modes(Field& field, Change change) const {
    if (!weights_.prior) return V(0.0);
    transform(field);
    for (std::size_t k = 0; k < tables_.volume; ++k) change(k, V(field[k])).store(field[k]);
    transform(field);
    return V(weights_.prior->log_det);
  }

  const CouplingSites& mask(std::size_t layer) const { return tables_.networks.masks[tables_.networks.mask_of(layer)]; }

  // The network's s and t [active site][2] for the frozen variables, in evaluations.front(); with z2 made even and odd,
  // with what belongs to the negative in evaluations.back(). Calls each(i, s, t) for the active site i and returns the
  // sum of s.
  template <class Each>
  V s_and_t(std::size_t layer, const Field& field, Scratch& scratch, Each each) const {
    const std::size_t count = mask(layer).outputs.size();
    const Row<Real>* mirrored = nullptr;
    if (architecture_.z2()) {
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
      if (mirrored) {
        s = even_part(s, to_double(Lanes<Real>(mirrored[2 * i])));
        t = odd_part(t, to_double(Lanes<Real>(mirrored[2 * i + 1])));
      }
      each(i, s, t);
      return s;
    });
  }

  // s and t for the frozen variables times `sign`.
  const Row<Real>* evaluate(std::size_t layer, Real sign, const Field& field, Evaluation<Real>& evaluation) const {
    const auto& frozen = mask(layer).inputs;
    for (std::size_t i = 0; i < frozen.size(); ++i) {
      (from_double<Real>(V(field[frozen[i]])) * sign).store(evaluation.input[i]);
    }
    return networks_.evaluate(layer, evaluation);
  }

  // Applies `change(variable, s, t)` to the active variables of one layer and returns the sum of its s.
  template <class Change>
  FLOWLOOM_FLATTEN V couple(std::size_t layer, Field& field, Scratch& scratch, Change change) const {
    const auto& active = mask(layer).outputs;
    return s_and_t(layer, field, scratch, [&](std::size_t i, const V& s, const V& t) {
      Row<double>& variable = field[active[i]];
      change(V(variable), s, t).store(variable);
    });
  }

  Theory theory_;
  AffineCouplingFlow architecture_;
  AffineTables tables_;
  AffineWeights<Real> weights_;
  Networks<Real> networks_;
};

// Its slopes (flow/lanes/objective.inl).
template <class Theory, class Real>
class AffineFlow<Theory, Real>::Gradients {
 public:
  explicit Gradients(const AffineFlow& flow)
      : flow_(flow),
        tables_(flow.tables_),
        weights_(flow.weights_),
        scratch_(flow.scratch(Use::kGradients)),
        outer_(scratch_.evaluations.size(), std::vector<Row<Real>>(tables_.volume)),
        back_(tables_.networks, weights_.networks) {}

  template <class Block>
  void forward(std::span<Block> blocks, std::span<Row<double>> log_det) {
    for (std::size_t b = 0; b < blocks.size(); ++b) flow_.forward(blocks[b].field, scratch_).store(log_det[b]);
  }

  template <class Block>
  void forward_with_density(std::span<Block> blocks, std::span<Row<double>> log_det, bool add_slopes) {
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      Block& block = blocks[b];
      for (std::size_t x = 0; x < tables_.volume; ++x) (-V(block.field[x])).store(block.slope[x]);
      flow_.apply_prior(block.field).store(log_det[b]);
      flow_.apply_inverse_prior(block.slope);  // the map is its own transpose
      if (add_slopes) add_slope_by_mass(block, 1.0);
    }
    for (std::size_t layer = 0; layer < flow_.architecture_.layers(); ++layer) {
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        (V(log_det[b]) + couple_with_density(layer, blocks[b], add_slopes)).store(log_det[b]);
      }
    }
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      Block& block = blocks[b];
      if (add_slopes) add_slope_by_scale(block, 1.0);
      (V(log_det[b]) + flow_.rescale(block.field, weights_.log_scale)).store(log_det[b]);
      flow_.rescale(block.slope, -weights_.log_scale);
    }
  }

  template <class Block>
  void back(std::span<Block> blocks, double of_log_det) {
    for (Block& block : blocks) {
      add_slope_by_scale(block, of_log_det);
      flow_.rescale(block.field, -weights_.log_scale);
      flow_.rescale(block.slope, weights_.log_scale);
    }
    for (std::size_t layer = flow_.architecture_.layers(); layer-- > 0;) {
      for (Block& block : blocks) uncouple(layer, block, of_log_det);
    }
    for (Block& block : blocks) add_slope_by_mass(block, of_log_det);
  }

  std::vector<double> take() {
    std::vector<double> all;
    if (tables_.basis) all.push_back(take_sum(log_mass2_));
    back_.take(all);
    if (flow_.architecture_.rescales()) all.push_back(take_sum(log_scale_));
    return all;
  }

 private:
  template <class Block>
  FLOWLOOM_FLATTEN V couple_with_density(std::size_t layer, Block& block, bool add_slopes) {
    const auto& active = flow_.mask(layer).outputs;
    const Mask<double> valid = block.valid();
    const V sum_of_s = flow_.s_and_t(layer, block.field, scratch_, [&](std::size_t i, const V& s, const V& t) {
      Row<double>& variable = block.field[active[i]];
      Row<double>& density_slope = block.slope[active[i]];
      const auto slopes = affine_density_slopes(V(variable), exp(s), V(density_slope));
      affine_forward(V(variable), s, t).store(variable);
      slopes.variable.store(density_slope);
      put_outer(i, valid, slopes.s, slopes.t);
    });
    pull_back(layer, block, add_slopes, -1.0);
    return sum_of_s;
  }

  template <class Block>
  FLOWLOOM_FLATTEN void uncouple(std::size_t layer, Block& block, double of_log_det) {
    const auto& active = flow_.mask(layer).outputs;
    const Mask<double> valid = block.valid();
    flow_.s_and_t(layer, block.field, scratch_, [&](std::size_t i, const V& s, const V& t) {
      Row<double>& variable = block.field[active[i]];
      Row<double>& slope = block.slope[active[i]];
      const V y(variable), e_s = exp(s);
      const auto slopes = affine_pull_back(y, e_s, t, V(slope));
      ((y - t) / e_s).store(variable);
      slopes.variable.store(slope);
      put_outer(i, valid, slopes.s + V(of_log_det), slopes.t);
    });
    pull_back(layer, block, true, 1.0);
  }

  // Slopes by s and t of active site i, for each evaluation of the network.
  void put_outer(std::size_t i, const Mask<double>& valid, V s, V t) {
    s = select(valid, s, V(0.0));
    t = select(valid, t, V(0.0));
    if (outer_.size() == 2) {  // z2: s and t are the even and the odd part
      s = s * 0.5;
      t = t * 0.5;
      from_double<Real>(s).store(outer_[1][2 * i]);
      from_double<Real>(-t).store(outer_[1][2 * i + 1]);
    }
    from_double<Real>(s).store(outer_[0][2 * i]);
    from_double<Real>(t).store(outer_[0][2 * i + 1]);
  }

  // Through the networks of a layer: adds the slopes by its weights on request, and those by the frozen variables times
  // `factor` to the block's.
  template <class Block>
  void pull_back(std::size_t layer, Block& block, bool add_slopes, double factor) {
    const auto& frozen = flow_.mask(layer).inputs;
    for (std::size_t e = 0; e < outer_.size(); ++e, factor = -factor) {
      const Row<Real>* slopes = back_.pull_back(layer, add_slopes, scratch_.evaluations[e], outer_[e]);
      for (std::size_t i = 0; i < frozen.size(); ++i) {
        Row<double>& slope = block.slope[frozen[i]];
        (V(slope) + to_double(Lanes<Real>(slopes[i])) * factor).store(slope);
      }
    }
  }

  // By log M^2 where the field is the prior's, by alpha where it is rescaled or just before: both multiply, modes or
  // variables, by factors whose logs add up to the log_det.
  template <class Block>
  void add_slope_by_mass(const Block& block, double of_log_det) {
    if (!weights_.prior) return;
    Field modes = block.field, slopes = block.slope;
    flow_.transform(modes);
    flow_.transform(slopes);
    add(log_mass2_, block.valid(), blocked_sum(tables_.volume, [&](std::size_t k) {
          return (V(slopes[k]) * V(modes[k]) + V(of_log_det)) * weights_.prior->log_slope[k];
        }));
  }
  template <class Block>
  void add_slope_by_scale(const Block& block, double of_log_det) {
    if (!flow_.architecture_.rescales()) return;
    add(log_scale_, block.valid(), blocked_sum(tables_.volume, [&](std::size_t x) {
          return V(block.slope[x]) * V(block.field[x]) + V(of_log_det);
        }));
  }
  static void add(Row<double>& sum, const Mask<double>& valid, const V& more) {
    (V(sum) + select(valid, more, V(0.0))).store(sum);
  }

  const AffineFlow& flow_;
  const AffineTables& tables_;
  const AffineWeights<Real>& weights_;
  Scratch scratch_;
  std::vector<std::vector<Row<Real>>> outer_;  // [evaluation][active site][2]: slopes by s and t
  NetworksBack<Real> back_;
  Row<double> log_mass2_{}, log_scale_{};
};
