// Gauge-equivariant couplings of angles for blocks of kLanes samples (flow/gauge_coupling.h); a flow as
// flow/lanes/flow.inl says.

// The maps of a flow, in functions of their own: they are long. `raw` are a map's parameters, its rotation's angle
// behind them; slopes go to rows in the same order (flow/transformed.inl).
class LinkMaps {
  using V = Lanes<double>;

 public:
  static constexpr std::size_t kMost = 3 * kMaxSplineBins + 1;  // parameters
  using Rows = std::array<Row<double>, kMost>;

 private:
  template <class Visit>
  auto with_map(const Rows& raw, Visit visit) const {
    return (with_circle_map<V>)(map_, pieces_, [&](std::size_t i) { return V(raw[i]); }, visit);
  }
  V rotation(const Rows& raw) const { return V(raw[parameters_]); }
  static auto put_to(Rows& slopes) {
    return [&slopes](std::size_t i, const V& slope) { slope.store(slopes[i]); };
  }

 public:
  explicit LinkMaps(const GaugeCouplingFlow& flow)
      : map_(flow.map()), pieces_(flow.pieces()), parameters_(flow.map_parameters()) {}

  // Rotation included.
  std::size_t parameters() const { return parameters_ + 1; }

  [[gnu::noinline]] FLOWLOOM_FLATTEN Transformed<V> forward(const Rows& raw, const V& x) const {
    return with_map(raw, [&](const auto& map) -> Transformed<V> {
      const auto [y, log_slope] = map.forward(x);
      return {shift_angle(y, rotation(raw)), log_slope};
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN Transformed<V> inverse(const Rows& raw, const V& y) const {
    return with_map(raw, [&](const auto& map) { return map.inverse(shift_angle(y, -rotation(raw))); });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN V pull_back(const Rows& raw, const V& x, const V& of_value, const V& of_log_slope,
                                                 Rows& slopes) const {
    of_value.store(slopes[parameters_]);
    return with_map(raw, [&](const auto& map) { return map.pull_back(x, of_value, of_log_slope, put_to(slopes)); });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN V density_slopes(const Rows& raw, const V& x, const V& d, Rows& slopes) const {
    const V after = with_map(raw, [&](const auto& map) { return map.density_slopes(x, d, put_to(slopes)); });
    after.store(slopes[parameters_]);
    return after;
  }

 private:
  CircleMap map_;
  std::size_t pieces_, parameters_;
};

template <class Theory, class Real>
class GaugeFlow {
 public:
  using V = Lanes<double>;
  class Gradients;

  GaugeFlow(const Theory& theory, const GaugeCouplingFlow& architecture, std::span<const double> weights, Use use)
      : theory_(theory),
        architecture_(architecture),
        couplings_(architecture.couplings(theory.geometry())),
        tables_(theory.geometry(), architecture.network(), sites_of(couplings_), use),
        weights_(packed(weights)),
        networks_(tables_, weights_),
        maps_(architecture) {}
  GaugeFlow(const GaugeFlow&) = delete;  // the networks refer to the others
  GaugeFlow& operator=(const GaugeFlow&) = delete;

  void set_weights(std::span<const double> weights) { weights_ = packed(weights); }

  const Theory& theory() const { return theory_; }
  std::size_t variables() const { return variables_of(theory_); }

  using Scratch = Evaluation<Real>;
  Scratch scratch(Use use) const {
    return use == Use::kSampling ? Scratch(tables_, weights_) : Scratch::keeping_all(tables_, weights_);
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count = kLanes) const {
    each_draw(key, purpose, first, count, field.size(), [&](std::size_t d, const auto& uniforms) {
      store_pair(field, d, std::array{uniforms[0] * kTwoPi, uniforms[1] * kTwoPi});
    });
  }
  V noise_log_density(const Field& field) const { return V(uniform_angles_log_density(field.size())); }

  V forward(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    for (std::size_t layer = 0; layer < architecture_.layers(); ++layer) {
      log_det =
          log_det + couple(layer, field, scratch, [&](const auto& raw, const V& x) { return maps_.forward(raw, x); });
    }
    return log_det;
  }

  V inverse(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    for (std::size_t layer = architecture_.layers(); layer-- > 0;) {
      log_det =
          log_det - couple(layer, field, scratch, [&](const auto& raw, const V& y) { return maps_.inverse(raw, y); });
    }
    return log_det;
  }

  static V difference(const V& a, const V& b) { return wrap_angle(a - b); }

 private:
  PackedNetworks<Real> packed(std::span<const double> weights) const {
    architecture_.refuse_other_count(weights.size());
    return PackedNetworks<Real>(tables_, architecture_.layers(), weights);
  }

  const LoopCoupling& coupling(std::size_t layer) const { return couplings_[tables_.mask_of(layer)]; }
  std::size_t channels() const { return static_cast<std::size_t>(architecture_.network().channels.back()); }

  static V angle_of(const Loop& loop, const Field& field) {
    V sum(0.0);
    for (const LoopLink& link : loop) sum = fma(V(link.sign), V(field[link.number]), sum);
    return sum;
  }
  // Of a link's active loop, from where it is counted, in [0, 2 pi].
  static V active_angle(const LoopCoupling::Active& link, const Field& field) {
    V angle = V(field[link.number]) + angle_of(link.rest, field);
    if (!link.around.empty()) angle = fma(wrap_angle(angle_of(link.around, field)), V(-0.5), angle);
    return positive_angle(angle);
  }

  // The network's outputs for a layer, [output site][channel], in the evaluation.
  [[gnu::noinline]] FLOWLOOM_FLATTEN const Row<Real>* evaluate(std::size_t layer, const Field& field,
                                                               Evaluation<Real>& evaluation) const {
    Row<Real>* input = evaluation.input.data();
    for (const std::vector<Loop>& site : coupling(layer).context) {
      for (const Loop& loop : site) {
        V cos(0.0), sin(0.0);
        if (!loop.empty()) {
          const auto turned = turn_of_angle(angle_of(loop, field));
          cos = turned.cos;
          sin = turned.sin;
        }
        from_double<Real>(cos).store(*input++);
        from_double<Real>(sin).store(*input++);
      }
    }
    return networks_.evaluate(layer, evaluation);
  }

  // The parameters of an active link's map, from the network's outputs.
  void load_raw(const Row<Real>* outputs, const LoopCoupling::Active& link, LinkMaps::Rows& raw) const {
    const Row<Real>* own = outputs + link.output * channels() + link.channel;
    for (std::size_t i = 0; i < maps_.parameters(); ++i) to_double(Lanes<Real>(own[i])).store(raw[i]);
  }

  // A link whose loop's angle goes from `from` to `to`.
  static void move(Row<double>& link, const V& from, const V& to) { positive_angle(V(link) + (to - from)).store(link); }

  // Takes the active loops' angles of a layer through map(raw parameters, angle); returns the sum of the log slopes.
  template <class Map>
  V couple(std::size_t layer, Field& field, Scratch& scratch, Map map) const {
    const Row<Real>* outputs = evaluate(layer, field, scratch);
    const auto& active = coupling(layer).active;
    LinkMaps::Rows raw;
    return blocked_sum(active.size(), [&](std::size_t i) {
      load_raw(outputs, active[i], raw);
      const V from = active_angle(active[i], field);
      const auto [to, log_slope] = map(raw, from);
      move(field[active[i].number], from, to);
      return log_slope;
    });
  }

  Theory theory_;
  GaugeCouplingFlow architecture_;
  std::vector<LoopCoupling> couplings_;
  NetworkTables tables_;
  PackedNetworks<Real> weights_;
  Networks<Real> networks_;
  LinkMaps maps_;
};

// Its slopes (flow/lanes/objective.inl). With x the active loop's angle, y = f(x) + t and the link theta' = theta + y -
// x: the link and the rest of its loop, both of which x depends on, and on nothing else does theta' but through the
// network.
template <class Theory, class Real>
class GaugeFlow<Theory, Real>::Gradients {
 public:
  explicit Gradients(const GaugeFlow& flow)
      : flow_(flow), scratch_(flow.scratch(Use::kGradients)), back_(flow.tables_, flow.weights_) {
    std::size_t most = 0;
    for (const LoopCoupling& coupling : flow.couplings_) most = std::max(most, coupling.sites.outputs.size());
    outer_.resize(most * flow.channels());
  }

  template <class Block>
  void forward_with_density(std::span<Block> blocks, std::span<Row<double>> log_det, bool add_slopes) {
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      V(0.0).store(log_det[b]);
      for (Row<double>& slope : blocks[b].slope) V(0.0).store(slope);
    }
    for (std::size_t layer = 0; layer < flow_.architecture_.layers(); ++layer) {
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        (V(log_det[b]) + couple_with_density(layer, blocks[b], add_slopes)).store(log_det[b]);
      }
    }
  }

  template <class Block>
  void back(std::span<Block> blocks, double of_log_det) {
    for (std::size_t layer = flow_.architecture_.layers(); layer-- > 0;) {
      for (Block& block : blocks) uncouple(layer, block, of_log_det);
    }
  }

  std::vector<double> take() {
    std::vector<double> all;
    back_.take(all);
    return all;
  }

 private:
  // D' of the link follows from D. At fixed theta' the slopes of -log q by f's parameters are those of density_slopes;
  // by the rest's angle, which moves x by -(dtheta'/drest) / f', that is D' - D.
  template <class Block>
  V couple_with_density(std::size_t layer, Block& block, bool add_slopes) {
    const Mask<double> valid = block.valid();
    const auto& active = flow_.coupling(layer).active;
    const Row<Real>* outputs = flow_.evaluate(layer, block.field, scratch_);
    std::ranges::fill(outer_, Row<Real>{});  // a site may have fewer active links than its network has numbers for
    const V sum = blocked_sum(active.size(), [&](std::size_t i) {
      const LoopCoupling::Active& link = active[i];
      flow_.load_raw(outputs, link, raw_);
      const V x = active_angle(link, block.field);
      const auto [y, log_slope] = flow_.maps_.forward(raw_, x);
      const V before(block.slope[link.number]);
      const V after = flow_.maps_.density_slopes(raw_, x, before, slopes_);
      store_outer(link, valid);
      move(block.field[link.number], x, y);
      after.store(block.slope[link.number]);
      add_along(link.rest, after - before, block);
      add_along(link.around, (after - before) * -0.5, block);
      return log_slope;
    });
    pull_back(layer, block, add_slopes, -1.0);
    return sum;
  }

  template <class Block>
  void uncouple(std::size_t layer, Block& block, double of_log_det) {
    const Mask<double> valid = block.valid();
    const Row<Real>* outputs = flow_.evaluate(layer, block.field, scratch_);
    std::ranges::fill(outer_, Row<Real>{});
    for (const LoopCoupling::Active& link : flow_.coupling(layer).active) {
      flow_.load_raw(outputs, link, raw_);
      const V y = active_angle(link, block.field);
      const V x = flow_.maps_.inverse(raw_, y).value;
      const V after(block.slope[link.number]);
      const V before = flow_.maps_.pull_back(raw_, x, after, V(of_log_det), slopes_);
      store_outer(link, valid);
      move(block.field[link.number], y, x);
      before.store(block.slope[link.number]);
      add_along(link.rest, before - after, block);
      add_along(link.around, (before - after) * -0.5, block);
    }
    pull_back(layer, block, true, 1.0);
  }

  // The slopes by the parameters of a link's map.
  void store_outer(const LoopCoupling::Active& link, const Mask<double>& valid) {
    Row<Real>* own = &outer_[link.output * flow_.channels() + link.channel];
    for (std::size_t i = 0; i < flow_.maps_.parameters(); ++i) {
      from_double<Real>(select(valid, V(slopes_[i]), V(0.0))).store(own[i]);
    }
  }

  template <class Block>
  static void add_along(const Loop& loop, const V& slope, Block& block) {
    for (const LoopLink& link : loop) {
      Row<double>& own = block.slope[link.number];
      fma(V(link.sign), slope, V(own)).store(own);
    }
  }

  // Through the network of a layer: adds the slopes by its weights on request, and those by the links of its context
  // times `factor` to the block's.
  template <class Block>
  [[gnu::noinline]] FLOWLOOM_FLATTEN void pull_back(std::size_t layer, Block& block, bool add_slopes, double factor) {
    const Row<Real>* slopes = back_.pull_back(layer, add_slopes, scratch_, outer_);
    for (const std::vector<Loop>& site : flow_.coupling(layer).context) {
      for (const Loop& loop : site) {
        const V of_cos = to_double(Lanes<Real>(*slopes++)), of_sin = to_double(Lanes<Real>(*slopes++));
        if (loop.empty()) continue;
        const auto turned = turn_of_angle(angle_of(loop, block.field));
        add_along(loop, (of_sin * turned.cos - of_cos * turned.sin) * factor, block);
      }
    }
  }

  const GaugeFlow& flow_;
  Evaluation<Real> scratch_;
  std::vector<Row<Real>> outer_;  // [output site][channel]: slopes by the network's outputs
  NetworksBack<Real> back_;
  LinkMaps::Rows raw_, slopes_;  // of one link
};
