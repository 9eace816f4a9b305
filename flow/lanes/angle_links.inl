// Links that are angles (flow/gauge_coupling.h), for couplings (flow/lanes/loop_flow.inl).

// The maps of active loops, in functions of their own: they are long. `raw` are a map's parameters, its rotation's
// angle behind them; slopes go to rows in the same order (flow/transformed.inl).
class AngleMaps {
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
  explicit AngleMaps(const GaugeCouplingFlow& flow)
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

// Slopes: with x the active loop's angle, y = f(x) + t and the link theta' = theta + y - x: the link and the rest of
// its loop, both of which x depends on, and on nothing else does theta' but through the network.
class AngleLinks {
  using V = Lanes<double>;

 public:
  using Architecture = GaugeCouplingFlow;
  using Coupling = LoopCoupling;
  using Active = LoopCoupling::Active;
  using Rows = AngleMaps::Rows;

  AngleLinks(const GaugeCouplingFlow& architecture, const Geometry&) : maps_(architecture) {}

  static const LoopCoupling& coupling_of(const LoopCoupling& coupling) { return coupling; }
  std::size_t parameters() const { return maps_.parameters(); }

  static void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Field& field, std::size_t count) {
    each_draw(key, purpose, first, count, field.size(), [&](std::size_t d, const auto& uniforms) {
      store_pair(field, d, std::array{uniforms[0] * kTwoPi, uniforms[1] * kTwoPi});
    });
  }
  static V noise_log_density(const Field& field) { return V(uniform_angles_log_density(field.size())); }
  static V difference(const V& a, const V& b) { return wrap_angle(a - b); }

  // Each loop's cosine and sine.
  template <class Real>
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void take_context(const LoopCoupling& coupling,
                                                              const std::vector<std::uint32_t>& loops,
                                                              const Field& field, Row<Real>* input) {
    for (const std::uint32_t i : loops) {
      const auto turned = turn_of_angle(angle_of(coupling.context[i], field));
      from_double<Real>(turned.cos).store(input[2 * i]);
      from_double<Real>(turned.sin).store(input[2 * i + 1]);
    }
  }

  [[gnu::noinline]] FLOWLOOM_FLATTEN V forward(const Active& link, const Rows& raw, Field& field) const {
    const V x = active_angle(link, field);
    const auto [y, log_slope] = maps_.forward(raw, x);
    move(field[link.number], x, y);
    return log_slope;
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN V inverse(const Active& link, const Rows& raw, Field& field) const {
    const V y = active_angle(link, field);
    const auto [x, log_slope] = maps_.inverse(raw, y);
    move(field[link.number], y, x);
    return log_slope;
  }

  using Before = Row<double>;
  static const Before& before(const Active& link, const Field& field) { return field[link.number]; }

  // D' of the link follows from D. At fixed theta' the slopes of -log q by f's parameters are those of the map; by the
  // rest's angle, which moves x by -(dtheta'/drest) / f', that is D' - D.
  [[gnu::noinline]] FLOWLOOM_FLATTEN V density_slopes(const Active& link, const Rows& raw, Field& field, Field& slope,
                                                      Rows& slopes) const {
    const V x = active_angle(link, field);
    const auto [y, log_slope] = maps_.forward(raw, x);
    const V before(slope[link.number]);
    const V after = maps_.density_slopes(raw, x, before, slopes);
    move(field[link.number], x, y);
    change_slopes(link, before, after, slope);
    return log_slope;
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN void pull_back(const Active& link, const Rows& raw, const Before& link_before,
                                                    Field& field, Field& slope, const V& of_log_det,
                                                    Rows& slopes) const {
    field[link.number] = link_before;
    const V x = active_angle(link, field);
    const V by_after(slope[link.number]);
    const V by_before = maps_.pull_back(raw, x, by_after, of_log_det, slopes);
    change_slopes(link, by_after, by_before, slope);
  }

  template <class Real>
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void pull_back_context(const LoopCoupling& coupling, const Row<Real>* input,
                                                                   const Row<Real>* slopes, double factor, const Field&,
                                                                   Field& slope) {
    const auto next = [](const Row<Real>*& row) { return to_double(Lanes<Real>(*row++)); };
    for (const Loop& loop : coupling.context) {
      const V cos = next(input), sin = next(input);
      const V of_cos = next(slopes), of_sin = next(slopes);
      add_along(loop, (of_sin * cos - of_cos * sin) * factor, slope);
    }
  }

 private:
  static V angle_of(const Loop& loop, const Field& field) {
    V sum(0.0);
    for (const LoopLink& link : loop) sum = fma(V(link.sign), V(field[link.number]), sum);
    return sum;
  }
  // Of a link's active loop, from where it is counted, in [0, 2 pi].
  static V active_angle(const Active& link, const Field& field) {
    V angle = V(field[link.number]) + angle_of(link.rest, field);
    if (!link.around.empty()) angle = from_half_around(angle, angle_of(link.around, field));
    return positive_angle(angle);
  }

  // A link whose loop's angle goes from `from` to `to`.
  static void move(Row<double>& link, const V& from, const V& to) { positive_angle(V(link) + (to - from)).store(link); }

  // The slope by a link goes from `from` to `to`, and those by the rest of its loop and by where it is counted from
  // with it.
  static void change_slopes(const Active& link, const V& from, const V& to, Field& slope) {
    to.store(slope[link.number]);
    add_along(link.rest, to - from, slope);
    add_along(link.around, (to - from) * -0.5, slope);
  }
  static void add_along(const Loop& loop, const V& more, Field& slope) {
    for (const LoopLink& link : loop) {
      Row<double>& own = slope[link.number];
      fma(V(link.sign), more, V(own)).store(own);
    }
  }

  AngleMaps maps_;
};
