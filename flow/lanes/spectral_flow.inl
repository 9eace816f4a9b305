// Gauge-equivariant couplings of matrices for blocks of kLanes samples (flow/spectral_coupling.h); a flow as
// flow/lanes/flow.inl says. Slopes by a link are matrices of su(N), as lattice/su.h lays them out.

// A field's rows as matrices. What multiplies is in functions of its own: each is hundreds of instructions.
template <int N>
struct LinkRows {
  using V = Lanes<double>;
  using M = Matrix<N, V>;
  using Step = MatrixCoupling::Step;
  using Path = MatrixCoupling::Path;

  static Complex<V> entry(const Row<double>* link, std::size_t i, std::size_t j, std::size_t sites) {
    const Row<double>* at = link + 2 * (N * i + j) * sites;
    return {V(*at), V(at[sites])};
  }
  static void put_entry(const Complex<V>& entry, Row<double>* link, std::size_t i, std::size_t j, std::size_t sites) {
    Row<double>* at = link + 2 * (N * i + j) * sites;
    entry.re.store(*at);
    entry.im.store(at[sites]);
  }
  static M load(const Row<double>* link, std::size_t sites) {
    return matrix_of<N, V>([&](auto i, auto j) { return entry(link, i, j, sites); });
  }
  static void store(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) { each<N>([&](auto j) { put_entry(m.at[i][j], link, i, j, sites); }); });
  }

  // A matrix of su(N) among the slopes: what is left of and below the diagonal follows from the rest, and is not used.
  static M load_slope(const Row<double>* link, std::size_t sites) {
    return matrix_of<N, V>([&](auto i, auto j) -> Complex<V> {
      if constexpr (i == j) {
        return {V(0.0), entry(link, i, i, sites).im};
      } else if constexpr (i < j) {
        return entry(link, i, j, sites);
      } else {
        return -conj(entry(link, j, i, sites));
      }
    });
  }
  static void store_slope(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        if constexpr (i <= j) put_entry(m.at[i][j], link, i, j, sites);
      });
    });
  }

  // Products with a link's rows as they stand, in place: m = m U, m U^dagger, U m.
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void times_link(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      Complex<V> row[N];
      each<N>([&](auto j) {
        row[j] = m.at[i][0] * entry(link, 0, j, sites);
        each<N - 1>([&](auto k) { row[j] = multiply_add(m.at[i][k + 1], entry(link, k + 1, j, sites), row[j]); });
      });
      each<N>([&](auto j) { m.at[i][j] = row[j]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void times_adjoint_link(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      Complex<V> row[N];
      each<N>([&](auto j) {
        row[j] = zero<V>();
        each<N>([&](auto k) { row[j] = conj_multiply_add(entry(link, j, k, sites), m.at[i][k], row[j]); });
      });
      each<N>([&](auto j) { m.at[i][j] = row[j]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void link_times(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = entry(link, i, 0, sites) * m.at[0][j];
        each<N - 1>([&](auto k) { column[i] = multiply_add(entry(link, i, k + 1, sites), m.at[k + 1][j], column[i]); });
      });
      each<N>([&](auto i) { m.at[i][j] = column[i]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void adjoint_link_times(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = zero<V>();
        each<N>([&](auto k) { column[i] = conj_multiply_add(entry(link, k, i, sites), m.at[k][j], column[i]); });
      });
      each<N>([&](auto i) { m.at[i][j] = column[i]; });
    });
  }

  // The product of a path's links before `end`.
  static M product(const Path& path, std::size_t end, const Row<double>* field, std::size_t sites) {
    M m = load(field + path[0].first, sites);
    if (path[0].backwards) m = adjoint(m);
    for (std::size_t k = 1; k < end; ++k) {
      const Row<double>* link = field + path[k].first;
      path[k].backwards ? times_adjoint_link(m, link, sites) : times_link(m, link, sites);
    }
    return m;
  }

  // tr(m U) or tr(m U^dagger)
  [[gnu::noinline]] FLOWLOOM_FLATTEN static Complex<V> trace_with(const M& m, const Step& step,
                                                                  const Row<double>* field, std::size_t sites) {
    const Row<double>* link = field + step.first;
    Complex<V> sum = zero<V>();
    if (step.backwards) {
      each<N>([&](auto i) {
        each<N>([&](auto j) { sum = conj_multiply_add(entry(link, i, j, sites), m.at[i][j], sum); });
      });
    } else {
      each<N>([&](auto i) { each<N>([&](auto j) { sum = multiply_add(m.at[i][j], entry(link, j, i, sites), sum); }); });
    }
    return sum;
  }

  // U = m U
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void turn_link(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = m.at[i][0] * entry(link, 0, j, sites);
        each<N - 1>([&](auto k) { column[i] = multiply_add(m.at[i][k + 1], entry(link, k + 1, j, sites), column[i]); });
      });
      each<N>([&](auto i) { put_entry(column[i], link, i, j, sites); });
    });
  }

  // A matrix of su(N) at a link's beginning carried to its end, U^dagger m U, and back, U m U^dagger.
  static void carry_on(M& m, const Row<double>* link, std::size_t sites) {
    times_link(m, link, sites);
    adjoint_link_times(m, link, sites);
  }
  static void carry_back(M& m, const Row<double>* link, std::size_t sites) {
    link_times(m, link, sites);
    times_adjoint_link(m, link, sites);
  }

  // What is at the path's beginning taken to its steps 0 ... end - 1, and what is at its end to the others: added to
  // the slopes by their links, whose change is that of the path at the link's own beginning.
  static void add_along(const Path& path, std::size_t end, const M& at_beginning, const M& at_end,
                        const Row<double>* field, Row<double>* slope, std::size_t sites) {
    M m = at_beginning;
    for (std::size_t k = 0; k < end; ++k) {
      const Row<double>* link = field + path[k].first;
      if (path[k].backwards) carry_back(m, link, sites);
      add(m, path[k], slope, sites);
      if (!path[k].backwards && k + 1 < end) carry_on(m, link, sites);
    }
    m = at_end;
    for (std::size_t k = path.size(); k-- > end;) {
      const Row<double>* link = field + path[k].first;
      if (!path[k].backwards) carry_back(m, link, sites);
      add(m, path[k], slope, sites);
      if (path[k].backwards && k > end) carry_on(m, link, sites);
    }
  }

 private:
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void add(const M& m, const Step& step, Row<double>* slope,
                                                     std::size_t sites) {
    Row<double>* link = slope + step.first;
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        if constexpr (i <= j) {
          const Complex<V> own = entry(link, i, j, sites);
          put_entry(step.backwards ? own - m.at[i][j] : own + m.at[i][j], link, i, j, sites);
        }
      });
    });
  }
};

// The maps of a flow's active loops. `raw` are a loop's parameters; slopes by them go to rows in the same order. What
// is long is in functions of its own, once for all four maps.
template <int N>
class SpectralMaps {
  using V = Lanes<double>;
  using M = Matrix<N, V>;

 public:
  static constexpr std::size_t kMost = SpectralSplines{kMaxSplineBins, true}.parameters(N);
  using Rows = std::array<Row<double>, kMost>;

  explicit SpectralMaps(const SpectralSplines& splines) : splines_(splines) {}
  std::size_t parameters() const { return splines_.parameters(N); }

  // What takes U to U' or, of the inverse, U' to U, from L or L'; and log_det, always of the map itself.
  struct Change {
    M turn;
    V log_det;
  };
  Change forward(const Rows& raw, const M& loop) const {
    const Spectrum<N, V> spectrum = spectrum_of(loop);
    const Moved moved = move(raw, spectrum);
    return {turn(spectrum.vectors, moved.from, moved.to), moved.log_det};
  }
  Change inverse(const Rows& raw, const M& image) const {
    const Spectrum<N, V> spectrum = spectrum_of(image);
    const Moved moved = move_back(raw, spectrum);
    return {turn(spectrum.vectors, moved.to, moved.from), moved.log_det};
  }

  // The same with the slopes by U or U' taken along, in their place; `rest`: those by W, from the right
  // (flow/spectral.h).
  struct Pulled {
    Change change;
    LoopSlopes<N, V> by;
  };
  // Of the density of L, `d` being its slope by U, to that of L'; slopes of -log q by the parameters at fixed L'.
  Pulled density_slopes(const Rows& raw, const M& loop, const M& d, Rows& slopes) const {
    const Spectrum<N, V> spectrum = spectrum_of(loop);
    const Moved moved = move(raw, spectrum);
    const V one(1.0);
    const RecomposeSlopes<N, V> by = of_image(spectrum.vectors, moved.from, d, one);
    const Box<N, V> by_image = box_density_slopes(raw, moved.from.box, by.box, slopes);
    return {{turn(spectrum.vectors, moved.from, moved.to), moved.log_det},
            of_loop(spectrum.vectors, moved.to, moved.from, by.frame, by_image, one)};
  }
  // Of a loss with the slopes `of_link` by U' and `of_log_det`, from L' back to L.
  Pulled pull_back(const Rows& raw, const M& image, const M& of_link, const V& of_log_det, Rows& slopes) const {
    const Spectrum<N, V> spectrum = spectrum_of(image);
    const Moved moved = move_back(raw, spectrum);
    const RecomposeSlopes<N, V> by = of_image(spectrum.vectors, moved.to, of_link, of_log_det);
    const Box<N, V> by_box = box_pull_back(raw, moved.from.box, by.box, of_log_det, slopes);
    return {{turn(spectrum.vectors, moved.to, moved.from), moved.log_det},
            of_loop(spectrum.vectors, moved.from, moved.to, by.frame, by_box, of_log_det)};
  }

 private:
  struct Moved {
    Cell<N, V> from, to;
    V log_det;
  };

  [[gnu::noinline]] FLOWLOOM_FLATTEN static Spectrum<N, V> spectrum_of(const M& loop) { return decompose(loop); }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static Cell<N, V> cell(const Box<N, V>& box) { return cell_of(box); }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static V log_det(const Cell<N, V>& from, const Cell<N, V>& to,
                                                      const V& log_slope) {
    return log_det_of_cells(from, to) + log_slope;
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static M turn(const M& vectors, const Cell<N, V>& from, const Cell<N, V>& to) {
    return turn_between(vectors, from, to);
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static RecomposeSlopes<N, V> of_image(const M& vectors, const Cell<N, V>& to,
                                                                           const M& slope, const V& of_log_det) {
    return recompose_pull_back(vectors, to, slope, of_log_det);
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static LoopSlopes<N, V> of_loop(const M& vectors, const Cell<N, V>& from,
                                                                     const Cell<N, V>& to, const M& frame,
                                                                     const Box<N, V>& box, const V& of_log_det) {
    return decompose_pull_back(vectors, from, to, frame, box, of_log_det);
  }

  [[gnu::noinline]] FLOWLOOM_FLATTEN BoxTransformed<N, V> box_forward(const Rows& raw, const Box<N, V>& box) const {
    return map().forward(read(raw), box);
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN BoxTransformed<N, V> box_inverse(const Rows& raw, const Box<N, V>& box) const {
    return map().inverse(read(raw), box);
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN Box<N, V> box_density_slopes(const Rows& raw, const Box<N, V>& box,
                                                                  const Box<N, V>& d, Rows& slopes) const {
    return map().density_slopes(read(raw), box, d, put_to(slopes));
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN Box<N, V> box_pull_back(const Rows& raw, const Box<N, V>& box,
                                                             const Box<N, V>& of_box, const V& of_log_det,
                                                             Rows& slopes) const {
    return map().pull_back(read(raw), box, of_box, of_log_det, put_to(slopes));
  }

  Moved move(const Rows& raw, const Spectrum<N, V>& spectrum) const {
    const Cell<N, V> from = cell(box_of(spectrum));
    const BoxTransformed<N, V> moved = box_forward(raw, from.box);
    const Cell<N, V> to = cell(moved.box);
    return {from, to, log_det(from, to, moved.log_slope())};
  }
  Moved move_back(const Rows& raw, const Spectrum<N, V>& spectrum) const {
    const Cell<N, V> to = cell(box_of(spectrum));
    const BoxTransformed<N, V> moved = box_inverse(raw, to.box);
    const Cell<N, V> from = cell(moved.box);
    return {from, to, log_det(from, to, moved.log_slope())};
  }

  BoxMap<N, V> map() const { return BoxMap<N, V>(splines_); }
  static auto read(const Rows& raw) {
    return [&raw](std::size_t i) { return V(raw[i]); };
  }
  static auto put_to(Rows& slopes) {
    return [&slopes](std::size_t i, const V& slope) { slope.store(slopes[i]); };
  }

  SpectralSplines splines_;
};

template <class Theory, class Real>
class SpectralFlow {
  static constexpr int N = Theory::kColours;
  using Links = LinkRows<N>;
  using M = Matrix<N, Lanes<double>>;

 public:
  using V = Lanes<double>;
  class Gradients;

  SpectralFlow(const Theory& theory, const SpectralCouplingFlow& architecture, std::span<const double> weights, Use use)
      : SpectralFlow(theory, architecture, weights, use, architecture.couplings(theory.geometry())) {}
  SpectralFlow(const SpectralFlow&) = delete;  // the networks refer to the others
  SpectralFlow& operator=(const SpectralFlow&) = delete;

  void set_weights(std::span<const double> weights) { weights_ = packed(weights); }

  const Theory& theory() const { return theory_; }
  std::size_t variables() const { return variables_of(theory_); }

  using Scratch = Evaluation<Real>;
  Scratch scratch(Use use) const {
    return use == Use::kSampling ? Scratch(tables_, weights_) : Scratch::keeping_all(tables_, weights_);
  }

  // Each link from kNormalsPerLink numbers, in the order of links.
  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count = kLanes) const {
    constexpr std::size_t kDraws = kNormalsPerLink<N> / 2;
    std::array<V, kNormalsPerLink<N>> normals;
    each_draw(key, purpose, first, count, links() * kNormalsPerLink<N>, [&](std::size_t d, const auto& uniforms) {
      put_normals(uniforms, normals[2 * (d % kDraws)], normals[2 * (d % kDraws) + 1]);
      if (d % kDraws + 1 == kDraws) put_haar(normals, &field[first_row(d / kDraws)]);
    });
  }
  V noise_log_density(const Field&) const { return V(0.0); }

  V forward(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    for (std::size_t layer = 0; layer < architecture_.layers(); ++layer) {
      log_det = log_det +
                couple(layer, field, scratch, [&](const auto& raw, const M& loop) { return maps_.forward(raw, loop); });
    }
    return log_det;
  }

  V inverse(Field& field, Scratch& scratch) const {
    V log_det(0.0);
    for (std::size_t layer = architecture_.layers(); layer-- > 0;) {
      log_det = log_det - couple(layer, field, scratch,
                                 [&](const auto& raw, const M& image) { return maps_.inverse(raw, image); });
    }
    return log_det;
  }

  static V difference(const V& a, const V& b) { return a - b; }

 private:
  SpectralFlow(const Theory& theory, const SpectralCouplingFlow& architecture, std::span<const double> weights, Use use,
               const std::vector<LoopCoupling>& couplings)
      : theory_(theory),
        architecture_(architecture),
        sites_(theory.geometry().sites()),
        tables_(theory.geometry(), architecture.network(), sites_of(couplings), use),
        weights_(packed(weights)),
        networks_(tables_, weights_),
        maps_(architecture.splines()) {
    for (const LoopCoupling& coupling : couplings) couplings_.emplace_back(coupling, theory.geometry(), N);
  }

  PackedNetworks<Real> packed(std::span<const double> weights) const {
    architecture_.refuse_other_count(weights.size());
    return PackedNetworks<Real>(tables_, architecture_.layers(), weights);
  }

  std::size_t links() const { return variables() / (2 * N * N); }
  std::size_t first_row(std::size_t link) const { return link / sites_ * 2 * N * N * sites_ + link % sites_; }
  const MatrixCoupling& coupling(std::size_t layer) const { return couplings_[tables_.mask_of(layer)]; }
  std::size_t channels() const { return static_cast<std::size_t>(architecture_.network().channels.back()); }

  [[gnu::noinline]] FLOWLOOM_FLATTEN static void put_normals(const std::array<V, 2>& uniforms, V& a, V& b) {
    const auto normals = normals_of_uniforms(uniforms);
    a = normals[0];
    b = normals[1];
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN void put_haar(const std::array<V, kNormalsPerLink<N>>& normals,
                                                   Row<double>* link) const {
    Links::store(haar<N>(normals), link, sites_);
  }

  // The network's outputs for a layer, [output site][channel], in the evaluation.
  [[gnu::noinline]] const Row<Real>* evaluate(std::size_t layer, const Field& field,
                                              Evaluation<Real>& evaluation) const {
    Row<Real>* input = evaluation.input.data();
    for (const auto& site : coupling(layer).context) {
      for (const MatrixCoupling::Path& path : site) {
        Complex<V> mean{V(0.0), V(0.0)};
        if (!path.empty()) {
          const M product = Links::product(path, path.size() - 1, field.data(), sites_);
          mean = Links::trace_with(product, path.back(), field.data(), sites_) * V(1.0 / N);
        }
        from_double<Real>(mean.re).store(*input++);
        if constexpr (N > 2) from_double<Real>(mean.im).store(*input++);
      }
    }
    return networks_.evaluate(layer, evaluation);
  }

  // The parameters of an active loop's map, from the network's outputs.
  void load_raw(const Row<Real>* outputs, const MatrixCoupling::Active& link,
                typename SpectralMaps<N>::Rows& raw) const {
    const Row<Real>* own = outputs + link.output * channels() + link.channel;
    for (std::size_t i = 0; i < maps_.parameters(); ++i) to_double(Lanes<Real>(own[i])).store(raw[i]);
  }

  // W and L = U W of an active link.
  M rest_of(const MatrixCoupling::Active& link, const Field& field) const {
    return Links::product(link.rest, link.rest.size(), field.data(), sites_);
  }
  M loop_of(const MatrixCoupling::Active& link, const M& rest, const Field& field) const {
    M loop = rest;
    Links::link_times(loop, field.data() + link.first, sites_);
    return loop;
  }

  // Moves the active links of a layer by map(raw parameters, loop); returns the sum of the log_dets.
  template <class Map>
  V couple(std::size_t layer, Field& field, Scratch& scratch, Map map) const {
    const Row<Real>* outputs = evaluate(layer, field, scratch);
    const auto& active = coupling(layer).active;
    typename SpectralMaps<N>::Rows raw;
    return blocked_sum(active.size(), [&](std::size_t i) {
      load_raw(outputs, active[i], raw);
      const auto change = map(raw, loop_of(active[i], rest_of(active[i], field), field));
      Links::turn_link(change.turn, &field[active[i].first], sites_);
      return change.log_det;
    });
  }

  Theory theory_;
  SpectralCouplingFlow architecture_;
  std::size_t sites_;
  std::vector<MatrixCoupling> couplings_;
  NetworkTables tables_;
  PackedNetworks<Real> weights_;
  Networks<Real> networks_;
  SpectralMaps<N> maps_;
};

// Its slopes (flow/lanes/objective.inl). With L = U W the active loop, U' depends on the link U and on the rest W, and
// on nothing else but through the network.
template <class Theory, class Real>
class SpectralFlow<Theory, Real>::Gradients {
 public:
  explicit Gradients(const SpectralFlow& flow)
      : flow_(flow), scratch_(flow.scratch(Use::kGradients)), back_(flow.tables_, flow.weights_) {
    std::size_t most = 0;
    for (const CouplingSites& sites : flow.tables_.masks) most = std::max(most, sites.outputs.size());
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
  template <class Block>
  V couple_with_density(std::size_t layer, Block& block, bool add_slopes) {
    const V log_det = move(layer, block, [&](const M& loop, const M& slope) {
      return flow_.maps_.density_slopes(raw_, loop, slope, slopes_);
    });
    pull_back(layer, block, add_slopes, -1.0);
    return log_det;
  }

  template <class Block>
  void uncouple(std::size_t layer, Block& block, double of_log_det) {
    move(layer, block, [&](const M& image, const M& slope) {
      return flow_.maps_.pull_back(raw_, image, slope, V(of_log_det), slopes_);
    });
    pull_back(layer, block, true, 1.0);
  }

  // Moves the active links of a layer, and the slopes by them and by the rest of their loops, by map(loop, slope by the
  // link). Returns the sum of the log_dets.
  template <class Block, class Map>
  V move(std::size_t layer, Block& block, Map map) {
    const Mask<double> valid = block.valid();
    const auto& active = flow_.coupling(layer).active;
    const Row<Real>* outputs = flow_.evaluate(layer, block.field, scratch_);
    std::ranges::fill(outer_, Row<Real>{});  // a site may have fewer active links than its network has numbers for
    return blocked_sum(active.size(), [&](std::size_t i) {
      const MatrixCoupling::Active& link = active[i];
      flow_.load_raw(outputs, link, raw_);
      const M rest = flow_.rest_of(link, block.field);
      const M slope = Links::load_slope(&block.slope[link.first], flow_.sites_);
      const auto pulled = map(flow_.loop_of(link, rest, block.field), slope);
      store_outer(link, valid);
      Links::turn_link(pulled.change.turn, &block.field[link.first], flow_.sites_);
      Links::store_slope(pulled.by.link, &block.slope[link.first], flow_.sites_);
      add_to_rest(link, rest, pulled.by.rest, block);
      return pulled.change.log_det;
    });
  }

  // The slope by W from the right is one at its end; that at its beginning is W times it times W^dagger.
  template <class Block>
  void add_to_rest(const MatrixCoupling::Active& link, const M& rest, const M& slope, Block& block) const {
    M at_beginning = slope;
    const std::size_t from_beginning = link.rest.front().backwards ? 0 : 1;
    if (from_beginning > 0) at_beginning = times_adjoint(rest * slope, rest);
    Links::add_along(link.rest, from_beginning, at_beginning, slope, block.field.data(), block.slope.data(),
                     flow_.sites_);
  }

  // The slopes by the parameters of a loop's map.
  void store_outer(const MatrixCoupling::Active& link, const Mask<double>& valid) {
    Row<Real>* own = &outer_[link.output * flow_.channels() + link.channel];
    for (std::size_t i = 0; i < flow_.maps_.parameters(); ++i) {
      from_double<Real>(select(valid, V(slopes_[i]), V(0.0))).store(own[i]);
    }
  }

  // Through the network of a layer: adds the slopes by its weights on request, and those by the links of its context
  // times `factor` to the block's. tr L has the slope that is the part of L^dagger in su(N), at the loop's beginning.
  template <class Block>
  [[gnu::noinline]] void pull_back(std::size_t layer, Block& block, bool add_slopes, double factor) {
    const Row<Real>* slopes = back_.pull_back(layer, add_slopes, scratch_, outer_);
    for (const auto& site : flow_.coupling(layer).context) {
      for (const MatrixCoupling::Path& path : site) {
        Complex<V> of_mean{to_double(Lanes<Real>(*slopes++)), V(0.0)};
        if constexpr (N > 2) of_mean.im = to_double(Lanes<Real>(*slopes++));
        if (path.empty()) continue;
        const M loop = Links::product(path, path.size(), block.field.data(), flow_.sites_);
        const M slope = slope_of_trace(loop, of_mean, factor / N);
        Links::add_along(path, path.size() / 2, slope, slope, block.field.data(), block.slope.data(), flow_.sites_);
      }
    }
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static M slope_of_trace(const M& loop, const Complex<V>& of_trace, double factor) {
    const Complex<V> scale = of_trace * V(factor);
    return algebra_part(matrix_of<N, V>([&](auto i, auto j) { return conj(loop.at[j][i]) * scale; }));
  }

  const SpectralFlow& flow_;
  Evaluation<Real> scratch_;
  std::vector<Row<Real>> outer_;  // [output site][channel]: slopes by the network's outputs
  NetworksBack<Real> back_;
  typename SpectralMaps<N>::Rows raw_, slopes_;  // of one loop
};
