// Links that are matrices of SU(N) (flow/spectral_coupling.h), for couplings (flow/lanes/loop_flow.inl).

// Slopes: with L = U W the active loop, U' depends on the link U and on the rest W, and on nothing else but through the
// network.
template <int N>
class MatrixLinks {
  using V = Lanes<double>;
  using M = Matrix<N, V>;
  using Cells = MatrixRows<N>;
  using Maps = SpectralMaps<N>;

 public:
  using Architecture = SpectralCouplingFlow;
  using Coupling = MatrixCoupling;
  using Active = MatrixCoupling::Active;
  using Rows = typename Maps::Rows;

  MatrixLinks(const SpectralCouplingFlow& architecture, const Geometry& geometry)
      : maps_(architecture.splines()), geometry_(geometry), sites_(geometry.sites()) {}

  MatrixCoupling coupling_of(const LoopCoupling& coupling) const { return MatrixCoupling(coupling, geometry_, N); }
  std::size_t parameters() const { return maps_.parameters(); }

  // Each link from kNormalsPerLink numbers, in the order of links.
  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count) const {
    constexpr std::size_t kDraws = kNormalsPerLink<N> / 2;
    std::array<V, kNormalsPerLink<N>> normals;
    const std::size_t links = geometry_.dimensions() * sites_;
    each_draw(key, purpose, first, count, links * kNormalsPerLink<N>, [&](std::size_t d, const auto& uniforms) {
      put_normals(uniforms, normals[2 * (d % kDraws)], normals[2 * (d % kDraws) + 1]);
      if (d % kDraws + 1 == kDraws) put_haar(normals, &field[first_row(d / kDraws)]);
    });
  }
  static V noise_log_density(const Field&) { return V(0.0); }
  static V difference(const V& a, const V& b) { return a - b; }

  // Each loop's trace by N.
  template <class Real>
  [[gnu::noinline]] void take_context(const MatrixCoupling& coupling, const std::vector<std::uint32_t>& loops,
                                      const Field& field, Row<Real>* input) const {
    for (const std::uint32_t i : loops) {
      const MatrixCoupling::Path& path = coupling.context[i];
      const M product = Cells::product(path, path.size() - 1, field.data(), sites_);
      const Complex<V> mean = Cells::trace_with(product, path.back(), field.data(), sites_) * V(1.0 / N);
      Row<Real>* own = input + (N > 2 ? 2 : 1) * i;
      from_double<Real>(mean.re).store(own[0]);
      if constexpr (N > 2) from_double<Real>(mean.im).store(own[1]);
    }
  }

  V forward(const Active& link, const Rows& raw, Field& field) const {
    return turn(link, maps_.forward(raw, loop_of(link, rest_of(link, field), field)), field);
  }
  V inverse(const Active& link, const Rows& raw, Field& field) const {
    return turn(link, maps_.inverse(raw, loop_of(link, rest_of(link, field), field)), field);
  }

  struct Before {};  // the spectrum of its image serves as well
  static Before before(const Active&, const Field&) { return {}; }

  V density_slopes(const Active& link, const Rows& raw, Field& field, Field& slope, Rows& slopes) const {
    return turn_with_slopes(link, field, slope, [&](const M& loop, const M& by_link) {
      return maps_.density_slopes(raw, loop, by_link, slopes);
    });
  }
  void pull_back(const Active& link, const Rows& raw, const Before&, Field& field, Field& slope, const V& of_log_det,
                 Rows& slopes) const {
    turn_with_slopes(link, field, slope, [&](const M& image, const M& by_link) {
      return maps_.pull_back(raw, image, by_link, of_log_det, slopes);
    });
  }

  // tr L has the slope that is the part of L^dagger in su(N), at the loop's beginning.
  template <class Real>
  [[gnu::noinline]] void pull_back_context(const MatrixCoupling& coupling, const Row<Real>*, const Row<Real>* slopes,
                                           double factor, const Field& field, Field& slope) const {
    for (const MatrixCoupling::Path& path : coupling.context) {
      Complex<V> of_mean{to_double(Lanes<Real>(*slopes++)), V(0.0)};
      if constexpr (N > 2) of_mean.im = to_double(Lanes<Real>(*slopes++));
      const M loop = Cells::product(path, path.size(), field.data(), sites_);
      const M by_loop = slope_of_trace(loop, of_mean, factor / N);
      Cells::add_along(path, path.size() / 2, by_loop, by_loop, field.data(), slope.data(), sites_);
    }
  }

 private:
  std::size_t first_row(std::size_t link) const { return link / sites_ * 2 * N * N * sites_ + link % sites_; }

  [[gnu::noinline]] FLOWLOOM_FLATTEN static void put_normals(const std::array<V, 2>& uniforms, V& a, V& b) {
    const auto normals = normals_of_uniforms(uniforms);
    a = normals[0];
    b = normals[1];
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN void put_haar(const std::array<V, kNormalsPerLink<N>>& normals,
                                                   Row<double>* link) const {
    Cells::store(haar<N>(normals), link, sites_);
  }

  // W and L = U W of an active link.
  M rest_of(const Active& link, const Field& field) const {
    return Cells::product(link.rest, link.rest.size(), field.data(), sites_);
  }
  M loop_of(const Active& link, const M& rest, const Field& field) const {
    M loop = rest;
    Cells::link_times(loop, field.data() + link.first, sites_);
    return loop;
  }

  V turn(const Active& link, const typename Maps::Change& change, Field& field) const {
    Cells::turn_link(change.turn, &field[link.first], sites_);
    return change.log_det;
  }

  // Moves a link, and the slopes by it and by the rest of its loop, by map(loop, slope by the link).
  template <class Map>
  V turn_with_slopes(const Active& link, Field& field, Field& slope, Map map) const {
    const M rest = rest_of(link, field);
    const auto pulled = map(loop_of(link, rest, field), Cells::load_slope(&slope[link.first], sites_));
    const V log_det = turn(link, pulled.change, field);
    Cells::store_slope(pulled.by.link, &slope[link.first], sites_);
    add_to_rest(link, rest, pulled.by.rest, field, slope);
    return log_det;
  }

  // The slope by W from the right is one at its end; that at its beginning is W times it times W^dagger.
  void add_to_rest(const Active& link, const M& rest, const M& by_rest, const Field& field, Field& slope) const {
    M at_beginning = by_rest;
    const std::size_t from_beginning = link.rest.front().backwards ? 0 : 1;
    if (from_beginning > 0) at_beginning = times_adjoint(rest * by_rest, rest);
    Cells::add_along(link.rest, from_beginning, at_beginning, by_rest, field.data(), slope.data(), sites_);
  }

  [[gnu::noinline]] FLOWLOOM_FLATTEN static M slope_of_trace(const M& loop, const Complex<V>& of_trace, double factor) {
    const Complex<V> scale = of_trace * V(factor);
    return algebra_part(matrix_of<N, V>([&](auto i, auto j) { return conj(loop.at[j][i]) * scale; }));
  }

  Maps maps_;
  Geometry geometry_;
  std::size_t sites_;
};
