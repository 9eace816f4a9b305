// Sampling, and densities of given fields.

template <class Theory, class Real>
class LanesModel final : public Model {
 public:
  LanesModel(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights)
      : theory_(theory),
        tables_(theory.geometry(), architecture),
        weights_(tables_, architecture, weights),
        flow_(theory_, tables_, weights_, architecture.z2()) {}

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(fields == Fields::kKept ? count * tables_.volume : 0)};
    Field field(tables_.volume);
    auto scratch = flow_.scratch_for_sampling();
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      flow_.draw_noise(key, purpose, first + begin, field);
      const V log_noise = flow_.noise_log_density(field);
      const V log_q = log_noise - flow_.forward(field, scratch);
      const auto sums = flow_.lattice_sums(field);
      const std::size_t n = std::min(kLanes, count - begin);
      store_lanes(log_q, std::span(draws.log_q).subspan(begin, n));
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store_lanes(sums.of[k], std::span(draws.sums).subspan(k * count + begin, n));
      }
      for (std::size_t i = begin; i < begin + n; ++i) draws.log_p[i] = log_target(theory_, draws.sums, count, i);
      if (fields == Fields::kKept)
        store_fields(field, std::span(draws.fields).subspan(begin * tables_.volume, n * tables_.volume));
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::size_t count = fields.size() / tables_.volume;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    std::vector<double> sums(Theory::kSums * count);
    Field field(tables_.volume);
    auto scratch = flow_.scratch_for_sampling();
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      flow_.load_fields(fields.subspan(begin * tables_.volume, n * tables_.volume), field);
      const Field given = field;
      const auto own = flow_.lattice_sums(field);
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store_lanes(own.of[k], std::span(sums).subspan(k * count + begin, n));
      }
      for (std::size_t i = begin; i < begin + n; ++i) densities.log_p[i] = log_target(theory_, sums, count, i);
      const V log_det = flow_.inverse(field, scratch);
      store_lanes(flow_.noise_log_density(field) + log_det, std::span(densities.log_q).subspan(begin, n));
      flow_.forward(field, scratch);
      V largest(0.0);
      for (std::size_t x = 0; x < tables_.volume; ++x) largest = larger_gap(largest, V(field[x]), V(given[x]));
      store_lanes(largest, std::span(densities.round_trip).subspan(begin, n));
    }
    return densities;
  }

 private:
  using V = Lanes<double>;

  void store_fields(Field& field, std::span<double> fields) const {
    for (std::size_t x = 0; x < tables_.volume; ++x) canonical(V(field[x])).store(field[x]);
    for (std::size_t lane = 0; lane < fields.size() / tables_.volume; ++lane) {
      for (std::size_t x = 0; x < tables_.volume; ++x) fields[lane * tables_.volume + x] = field[x].lane[lane];
    }
  }

  Theory theory_;
  Tables tables_;
  PackedWeights<Real> weights_;
  LanesFlow<Theory, Real> flow_;  // refers to the others
};
