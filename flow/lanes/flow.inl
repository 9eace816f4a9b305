// What the walks of all flows share: fields, sums over sites, the theory's part.
//
// A flow for blocks of kLanes samples is a class with
//
//   Flow(theory, architecture, weights, use)    owns its tables and weights;   set_weights(weights)
//   theory(), variables()
//   Scratch, scratch(use)                       what it works on besides a field
//   draw_noise(key, purpose, first, field, count), noise_log_density(field)
//   forward(field, scratch)                     noise to field in place; returns log_det of this map
//   inverse(field, scratch)                     field to noise; returns log_det of this map
//   difference(a, b)                            of two values of a variable
//   Gradients                                   its slopes (flow/lanes/objective.inl)

// The sum of of(i) over i < count: within blocks, then over the blocks, always in order; of(i) is called once for each
// i.
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

using Field = std::vector<Row<double>>;  // [component][site]

// A theory's walk over the lattice.
template <class Theory>
class TheoryWalk {
 public:
  using V = Lanes<double>;

  explicit TheoryWalk(const Theory& theory)
      : neighbours_(theory.geometry()),
        local_slopes_(theory.action().template slopes_from<kLocal>(0)),
        global_slopes_(theory.action().template slopes_from<kGlobal>(kLocal)),
        global_(theory) {}

  FLOWLOOM_FLATTEN Sums<Theory::kSums> sums(const Field& field) const {
    const Sums<kLocal> local = blocked_sum(neighbours_.steps().sites, [&](std::size_t x) {
      return Sums<kLocal>{LocalDensities<Theory>::at(cursor(field, x))};
    });
    if constexpr (kGlobal == 0) {
      return local;
    } else {
      const Sums<kGlobal> global = global_sums(field);
      Sums<Theory::kSums> all;
      std::ranges::copy(local.of, all.of.begin());
      std::ranges::copy(global.of, all.of.begin() + kLocal);
      return all;
    }
  }

  // slope += dS/d(field)
  FLOWLOOM_FLATTEN void add_force(const Field& field, Field& slope) const {
    for (std::size_t x = 0; x < neighbours_.steps().sites; ++x) {
      LocalDensities<Theory>::pull_back(
          cursor(field, x), local_slopes_,
          [&](const auto& place, std::size_t component, const V& more) { add(slope, component, place.site(), more); });
    }
    if constexpr (kGlobal > 0) add_global_force(field, slope);
  }

 private:
  static constexpr std::size_t kLocal = kLocalSums<Theory>, kGlobal = GlobalSums<Theory>::kCount;

  // Long, so once for each instruction set. A new workspace each time costs nothing next to what is done in it.
  [[gnu::noinline]] Sums<kGlobal> global_sums(const Field& field) const {
    const auto work = std::make_unique_for_overwrite<Row<double>[]>(global_.cells_for_sums());
    return {global_.template at<V>(read(field), work.get())};
  }
  [[gnu::noinline]] void add_global_force(const Field& field, Field& slope) const {
    const auto work = std::make_unique_for_overwrite<Row<double>[]>(global_.cells_for_slopes());
    global_.template pull_back<V>(
        global_slopes_, read(field), work.get(),
        [&](std::size_t component, std::size_t site, const V& more) { add(slope, component, site, more); });
  }

  void add(Field& slope, std::size_t component, std::size_t site, const V& more) const {
    Row<double>& own = slope[component * neighbours_.steps().sites + site];
    (V(own) + more).store(own);
  }

  struct ReadRows {
    const Row<double>* field;
    std::size_t sites;
    V operator()(std::size_t component, std::size_t site) const { return V(field[component * sites + site]); }
  };
  ReadRows read(const Field& field) const { return {field.data(), neighbours_.steps().sites}; }
  Cursor<ReadRows> cursor(const Field& field, std::size_t x) const { return {read(field), neighbours_.steps(), x}; }

  Neighbours neighbours_;
  std::array<double, kLocal> local_slopes_;  // of the action by the sums
  std::array<double, kGlobal> global_slopes_;
  GlobalSums<Theory> global_;
};

// Calls store(d, pair) for draws d = 0, 1, ... of `count` numbers at the addresses first, first + 1, ... of each lane,
// a pair being two uniforms (spec/noise.h). Lanes from `samples` on repeat the first.
template <class Store>
void each_draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t samples, std::size_t count,
               Store store) {
  using B = Words<std::uint64_t>;
  Row<double> numbers;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    numbers.lane[lane] = std::bit_cast<double>(first + (lane < samples ? lane : 0));
  const B index = bits(Lanes<double>(numbers));
  for (std::size_t d = 0; 2 * d < count; ++d) {
    store(d, uniform_pair(key.words, static_cast<std::uint64_t>(purpose), index, static_cast<std::uint64_t>(d)));
  }
}

// The pair that draw d is to the field's variables 2d and 2d + 1.
inline void store_pair(Field& field, std::size_t d, const std::array<Lanes<double>, 2>& pair) {
  pair[0].store(field[2 * d]);
  if (2 * d + 1 < field.size()) pair[1].store(field[2 * d + 1]);
}

// Fields are [sample][variable]. Lanes without a sample repeat the first.
inline void load_fields(std::span<const double> fields, Field& field) {
  const std::size_t variables = field.size(), n = fields.size() / variables;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const double* own = &fields[(lane < n ? lane : 0) * variables];
    for (std::size_t i = 0; i < variables; ++i) field[i].lane[lane] = own[i];
  }
}
inline void store_fields(Field& field, std::span<double> fields) {
  const std::size_t variables = field.size();
  for (Row<double>& row : field) canonical(Lanes<double>(row)).store(row);
  for (std::size_t lane = 0; lane < fields.size() / variables; ++lane) {
    for (std::size_t i = 0; i < variables; ++i) fields[lane * variables + i] = field[i].lane[lane];
  }
}

// The first lanes to numbers, NaNs made the canonical one.
inline void store_lanes(const Lanes<double>& lanes, std::span<double> out) {
  Row<double> row;
  canonical(lanes).store(row);
  std::copy_n(row.lane, out.size(), out.begin());
}
