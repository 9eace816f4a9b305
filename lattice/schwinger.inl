// The Schwinger model's sums (lattice/schwinger.h).

template <>
struct LocalDensities<Schwinger> : LocalDensities<U1Gauge> {};

// log|det D|. A workspace begins with the links' cosines and sines, and slopes by them.
template <>
struct GlobalSums<Schwinger> {
  static constexpr std::size_t kCount = 1;

  explicit GlobalSums(const Schwinger& theory) : wilson_(theory.wilson()) {}

  constexpr std::size_t cells_for_sums() const { return 2 * links() + wilson_.workspace(Wilson2dUse::kLogDet); }
  constexpr std::size_t cells_for_slopes() const { return 3 * links() + wilson_.workspace(Wilson2dUse::kSlopes); }

  template <Value V, class Read, class Work>
  constexpr std::array<V, kCount> at(const Read& read, Work work) const {
    put_links<V>(read, work);
    return {Wilson2dSolver<V>::log_abs_det(wilson_, work, work + links(), work + 2 * links())};
  }

  template <Value V, class Read, class Work, class Add>
  constexpr void pull_back(const std::array<double, kCount>& slopes, const Read& read, Work work, Add add) const {
    put_links<V>(read, work);
    const Work found = work + 2 * links();
    Wilson2dSolver<V>::slopes(wilson_, work, work + links(), work + 3 * links(), found);
    for_each_link(
        [&](std::size_t mu, std::size_t site, std::size_t link) { add(mu, site, V(found[link]) * slopes[0]); });
  }

 private:
  constexpr std::size_t links() const { return 2 * wilson_.sites(); }

  template <class Visit>
  constexpr void for_each_link(Visit visit) const {
    for (std::size_t mu = 0; mu < 2; ++mu) {
      for (std::size_t site = 0; site < wilson_.sites(); ++site) visit(mu, site, mu * wilson_.sites() + site);
    }
  }

  template <Value V, class Read, class Work>
  FLOWLOOM_FLATTEN constexpr void put_links(const Read& read, Work work) const {
    for_each_link([&](std::size_t mu, std::size_t site, std::size_t link) {
      const auto turned = turn_of_angle(read(mu, site));
      store_in(work[link], turned.cos);
      store_in(work[links() + link], turned.sin);
    });
  }

  Wilson2d wilson_;
};
