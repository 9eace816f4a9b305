// Gauge-equivariant couplings for blocks of kLanes samples, whatever the links are (flow/loop_coupling.h); a flow as
// flow/lanes/flow.inl says. The links' part is a class Links (angle_links.inl, matrix_links.inl), the same for all
// theories and precisions:
//
//   Architecture, Rows              rows enough for the parameters of any active link's map
//   Coupling, Active                a layer and an active link of it: LoopCoupling's own or, for the walk, with the
//                                   same members `active` and `context`, `output` and `channel`
//   Links(architecture, geometry), coupling_of(loop_coupling)
//   parameters()                    of an active link's map
//   draw_noise(key, purpose, first, field, count), noise_log_density(field), difference(a, b)
//   take_context(coupling, loops, field, input)
//                                   the networks' input: the numbers of these loops of the context
//   forward(link, raw, field), inverse(link, raw, field)
//                                   move an active link by its map with the parameters `raw`, or back; return log_det,
//                                   always of the map from noise
//   Before, before(link, field)     what is kept of an active link that will be moved, for the way back
//   density_slopes(link, raw, field, slope, slopes), pull_back(link, raw, before, field, slope, of_log_det, slopes)
//                                   forward and inverse, with the slopes beside the field taken along: D forward, G
//                                   back (flow/lanes/objective.inl); `slopes`: by the parameters
//   pull_back_context(coupling, input, slopes, factor, field, slope)
//                                   adds `factor` times the slopes by the networks' input to those by the links
//
// What is kept: a number for each link that a layer changes, or next to nothing. Of the networks nothing is.

template <class Theory, class Real, class Links>
class LoopFlow {
  using Architecture = typename Links::Architecture;
  using Coupling = typename Links::Coupling;
  using Active = typename Links::Active;
  using Rows = typename Links::Rows;

 public:
  using V = Lanes<double>;
  class Gradients;

  LoopFlow(const Theory& theory, const Architecture& architecture, std::span<const double> weights, Use use)
      : LoopFlow(theory, architecture, weights, use, architecture.couplings(theory.geometry())) {}
  LoopFlow(const LoopFlow&) = delete;  // the networks refer to the others
  LoopFlow& operator=(const LoopFlow&) = delete;

  void set_weights(std::span<const double> weights) { weights_ = packed(weights); }

  const Theory& theory() const { return theory_; }
  std::size_t variables() const { return variables_of(theory_); }

  struct Scratch {
    Evaluation<Real> evaluation;
    std::vector<Row<Real>> last_input;  // of the layer before
  };
  Scratch scratch(Use use) const {
    using Own = Evaluation<Real>;
    Own own = use == Use::kSampling ? Own(tables_, weights_) : Own::keeping_all(tables_, weights_);
    const std::size_t inputs = own.input.size();
    return {std::move(own), std::vector<Row<Real>>(inputs)};
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count = kLanes) const {
    links_.draw_noise(key, purpose, first, field, count);
  }
  V noise_log_density(const Field& field) const { return links_.noise_log_density(field); }

  V forward(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    Rows raw;
    for (std::size_t layer = 0; layer < architecture_.layers(); ++layer) {
      const auto& context = contexts_[tables_.mask_of(layer)];
      log_det = log_det + couple(layer, layer == 0 ? context.whole : context.after_previous, field, scratch, raw,
                                 [&](std::size_t, const Active& link) { return links_.forward(link, raw, field); });
    }
    return log_det;
  }

  V inverse(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    Rows raw;
    const std::size_t last = architecture_.layers() - 1;
    for (std::size_t layer = last + 1; layer-- > 0;) {
      const auto& context = contexts_[tables_.mask_of(layer)];
      log_det = log_det - couple(layer, layer == last ? context.whole : context.after_next, field, scratch, raw,
                                 [&](std::size_t, const Active& link) { return links_.inverse(link, raw, field); });
    }
    return log_det;
  }

  static V difference(const V& a, const V& b) { return Links::difference(a, b); }

 private:
  LoopFlow(const Theory& theory, const Architecture& architecture, std::span<const double> weights, Use use,
           const std::vector<LoopCoupling>& couplings)
      : theory_(theory),
        architecture_(architecture),
        links_(architecture, theory.geometry()),
        tables_(theory.geometry(), architecture.network(), sites_of(couplings), use),
        weights_(packed(weights)),
        networks_(tables_, weights_) {
    const std::size_t count = couplings.size();
    for (std::size_t i = 0; i < count; ++i) {
      const LoopCoupling& own = couplings[i];
      couplings_.push_back(links_.coupling_of(own));
      contexts_.push_back({whole_context(own), context_after(couplings[(i + count - 1) % count], own),
                           context_after(couplings[(i + 1) % count], own)});
    }
  }

  PackedNetworks<Real> packed(std::span<const double> weights) const {
    architecture_.refuse_other_count(weights.size());
    return PackedNetworks<Real>(tables_, architecture_.layers(), weights);
  }

  const Coupling& coupling(std::size_t layer) const { return couplings_[tables_.mask_of(layer)]; }
  std::size_t channels() const { return static_cast<std::size_t>(architecture_.network().channels.back()); }

  // The parameters of an active link's map, from the network's outputs.
  void load_raw(const Row<Real>* outputs, const Active& link, Rows& raw) const {
    const Row<Real>* own = outputs + link.output * channels() + link.channel;
    for (std::size_t i = 0; i < links_.parameters(); ++i) to_double(Lanes<Real>(own[i])).store(raw[i]);
  }

  // The networks' input for a layer; what is not computed is taken from that for the layer before.
  void take_context(std::size_t layer, const ContextUpdate& context, const Field& field, Scratch& scratch) const {
    const auto channels = static_cast<std::size_t>(architecture_.loop_channels());
    std::vector<Row<Real>>& input = scratch.evaluation.input;
    std::swap(input, scratch.last_input);
    for (const auto& [from, to] : context.copied) {
      std::copy_n(&scratch.last_input[from * channels], channels, &input[to * channels]);
    }
    links_.take_context(coupling(layer), context.computed, field, input.data());
  }

  // Calls move(i, link) for the active links of a layer, the parameters of each one's map being in `raw`; returns the
  // sum of what it returns.
  template <class Move>
  V couple(std::size_t layer, const ContextUpdate& context, const Field& field, Scratch& scratch, Rows& raw,
           Move move) const {
    take_context(layer, context, field, scratch);
    const Row<Real>* outputs = networks_.evaluate(layer, scratch.evaluation);  // [output site][channel]
    const auto& active = coupling(layer).active;
    return blocked_sum(active.size(), [&](std::size_t i) {
      load_raw(outputs, active[i], raw);
      return move(i, active[i]);
    });
  }

  // What a layer computes of its context: as the first one, and after the layer before it or, on the way back, behind.
  struct Contexts {
    ContextUpdate whole, after_previous, after_next;
  };

  Theory theory_;
  Architecture architecture_;
  Links links_;
  std::vector<Coupling> couplings_;  // [mask], as the next
  std::vector<Contexts> contexts_;
  NetworkTables tables_;
  PackedNetworks<Real> weights_;
  Networks<Real> networks_;
};

// Its slopes (flow/lanes/objective.inl).
template <class Theory, class Real, class Links>
class LoopFlow<Theory, Real, Links>::Gradients {
 public:
  explicit Gradients(const LoopFlow& flow)
      : flow_(flow), scratch_(flow.scratch(Use::kGradients)), back_(flow.tables_, flow.weights_) {
    std::size_t most = 0;
    for (const CouplingSites& sites : flow.tables_.masks) most = std::max(most, sites.outputs.size());
    outer_.resize(most * flow.channels());
    for (const Coupling& coupling : flow.couplings_) most_active_ = std::max(most_active_, coupling.active.size());
  }

  template <class Block>
  void forward(std::span<Block> blocks, std::span<Row<double>> log_det) {
    each_layer(blocks, log_det, [&](std::size_t layer, std::size_t b) {
      Block& block = blocks[b];
      return flow_.couple(layer, context_of(layer), block.field, scratch_, raw_,
                          [&](std::size_t i, const Active& link) {
                            keep(b, layer, i, link, block.field);
                            return flow_.links_.forward(link, raw_, block.field);
                          });
    });
  }

  template <class Block>
  void forward_with_density(std::span<Block> blocks, std::span<Row<double>> log_det, bool add_slopes) {
    for (Block& block : blocks) {
      for (Row<double>& slope : block.slope) V(0.0).store(slope);  // the noise's density is constant
    }
    each_layer(blocks, log_det,
               [&](std::size_t layer, std::size_t b) { return couple_with_density(layer, b, blocks[b], add_slopes); });
  }

  template <class Block>
  void back(std::span<Block> blocks, double of_log_det) {
    for (std::size_t layer = flow_.architecture_.layers(); layer-- > 0;) {
      for (std::size_t b = 0; b < blocks.size(); ++b) uncouple(layer, b, blocks[b], of_log_det);
    }
  }

  std::vector<double> take() {
    std::vector<double> all;
    back_.take(all);
    return all;
  }

 private:
  using Before = typename Links::Before;

  // Sums up of(layer, b) for each block b.
  template <class Block, class Of>
  void each_layer(std::span<Block> blocks, std::span<Row<double>> log_det, Of of) {
    const std::size_t layers = flow_.architecture_.layers();
    before_.resize(blocks.size() * layers * most_active_);
    for (std::size_t b = 0; b < blocks.size(); ++b) V(0.0).store(log_det[b]);
    for (std::size_t layer = 0; layer < layers; ++layer) {
      for (std::size_t b = 0; b < blocks.size(); ++b) (V(log_det[b]) + of(layer, b)).store(log_det[b]);
    }
  }

  template <class Block>
  V couple_with_density(std::size_t layer, std::size_t b, Block& block, bool add_slopes) {
    const V log_det = couple(layer, block, [&](std::size_t i, const Active& link) {
      if (!add_slopes) keep(b, layer, i, link, block.field);  // else nobody goes back
      return flow_.links_.density_slopes(link, raw_, block.field, block.slope, slopes_);
    });
    pull_back(layer, block, add_slopes, -1.0);  // slopes_ are of -log q, D of log q
    return log_det;
  }

  template <class Block>
  void uncouple(std::size_t layer, std::size_t b, Block& block, double of_log_det) {
    couple(layer, block, [&](std::size_t i, const Active& link) {
      flow_.links_.pull_back(link, raw_, before(b, layer, i), block.field, block.slope, V(of_log_det), slopes_);
      return V(0.0);
    });
    pull_back(layer, block, true, 1.0);
  }

  // Blocks take turns in a layer, so that none finds what it has computed for the layer before.
  const ContextUpdate& context_of(std::size_t layer) const {
    return flow_.contexts_[flow_.tables_.mask_of(layer)].whole;
  }

  // Active link i of a layer, as it was before.
  Before& before(std::size_t b, std::size_t layer, std::size_t i) {
    return before_[(b * flow_.architecture_.layers() + layer) * most_active_ + i];
  }
  void keep(std::size_t b, std::size_t layer, std::size_t i, const Active& link, const Field& field) {
    before(b, layer, i) = Links::before(link, field);
  }

  // Moves the active links of a layer by move(i, link), which takes raw_ and leaves slopes_; returns the sum of the
  // log_dets.
  template <class Block, class Move>
  V couple(std::size_t layer, Block& block, Move move) {
    const Mask<double> valid = block.valid();
    std::ranges::fill(outer_, Row<Real>{});  // a site may have fewer active links than its network has numbers for
    return flow_.couple(layer, context_of(layer), block.field, scratch_, raw_, [&](std::size_t i, const Active& link) {
      const V log_det = move(i, link);
      store_outer(link, valid);
      return log_det;
    });
  }

  // The slopes by the parameters of an active link's map.
  void store_outer(const Active& link, const Mask<double>& valid) {
    Row<Real>* own = &outer_[link.output * flow_.channels() + link.channel];
    for (std::size_t i = 0; i < flow_.links_.parameters(); ++i) {
      from_double<Real>(select(valid, V(slopes_[i]), V(0.0))).store(own[i]);
    }
  }

  // Through the network of a layer: adds the slopes by its weights on request, and those by the links of its context
  // times `factor` to the block's.
  template <class Block>
  void pull_back(std::size_t layer, Block& block, bool add_slopes, double factor) {
    const Row<Real>* slopes = back_.pull_back(layer, add_slopes, scratch_.evaluation, outer_);
    flow_.links_.pull_back_context(flow_.coupling(layer), scratch_.evaluation.input.data(), slopes, factor, block.field,
                                   block.slope);
  }

  const LoopFlow& flow_;
  Scratch scratch_;
  std::size_t most_active_ = 0;   // of a layer
  std::vector<Before> before_;    // [block][layer][active link]
  std::vector<Row<Real>> outer_;  // [output site][channel]: slopes by the network's outputs
  NetworksBack<Real> back_;
  Rows raw_, slopes_;  // of one link
};
