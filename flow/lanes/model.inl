// Sampling, and densities of given fields, by a flow as flow/lanes/flow.inl says.

template <class Flow>
class LanesModel final : public Model {
 public:
  template <class Theory, class Architecture>
  LanesModel(const Theory& theory, const Architecture& architecture, std::span<const double> weights)
      : flow_(theory, architecture, weights, Use::kSampling), walk_(flow_.theory()) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    const std::size_t variables = flow_.variables();
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(kSums * count),
                std::vector<double>(fields == Fields::kKept ? count * variables : 0)};
    Field field(variables);
    auto scratch = flow_.scratch(Use::kSampling);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      flow_.draw_noise(key, purpose, first + begin, field);
      const V log_noise = flow_.noise_log_density(field);
      const V log_q = log_noise - flow_.forward(field, scratch);
      const std::size_t n = std::min(kLanes, count - begin);
      store_lanes(log_q, std::span(draws.log_q).subspan(begin, n));
      store_target(field, begin, n, draws.sums, draws.log_p);
      if (fields == Fields::kKept)
        store_fields(field, std::span(draws.fields).subspan(begin * variables, n * variables));
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::size_t variables = flow_.variables(), count = fields.size() / variables;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    std::vector<double> sums(kSums * count);
    Field field(variables);
    auto scratch = flow_.scratch(Use::kSampling);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      load_fields(fields.subspan(begin * variables, n * variables), field);
      const Field given = field;
      store_target(field, begin, n, sums, densities.log_p);
      const V log_det = flow_.inverse(field, scratch);
      store_lanes(flow_.noise_log_density(field) + log_det, std::span(densities.log_q).subspan(begin, n));
      flow_.forward(field, scratch);
      V largest(0.0);
      for (std::size_t i = 0; i < variables; ++i) {
        largest = larger_gap(largest, flow_.difference(V(field[i]), V(given[i])));
      }
      store_lanes(largest, std::span(densities.round_trip).subspan(begin, n));
    }
    return densities;
  }

 private:
  using V = Lanes<double>;
  using Theory = std::remove_cvref_t<decltype(std::declval<Flow>().theory())>;
  static constexpr std::size_t kSums = Theory::kSums;

  // The sums [sum][sample] and log_p of the samples begin .. begin + n - 1.
  void store_target(const Field& field, std::size_t begin, std::size_t n, std::vector<double>& sums,
                    std::vector<double>& log_p) const {
    const auto own = walk_.sums(field);
    for (std::size_t k = 0; k < kSums; ++k) {
      store_lanes(own.of[k], std::span(sums).subspan(k * log_p.size() + begin, n));
    }
    for (std::size_t i = begin; i < begin + n; ++i) log_p[i] = log_target(flow_.theory(), sums, log_p.size(), i);
  }

  Flow flow_;
  TheoryWalk<Theory> walk_;
};
