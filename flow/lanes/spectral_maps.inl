// The maps of a spectral flow's active loops (flow/spectral_coupling.h). `raw` are a loop's parameters; slopes by them
// go to rows in the same order. What is long is in functions of its own, once for all four maps.

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
