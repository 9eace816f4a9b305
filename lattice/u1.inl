// U(1) gauge theory at one site (lattice/u1.h), for a cursor (lattice/cursor.h).

template <>
struct LocalDensities<U1Gauge> {
  // In the order of U1Gauge::sums(). The topological charge is exactly an integer: the plaquettes' angles add up to
  // zero, so that those wrapped to [-pi, pi) add up to 2 pi times what wrapping took off.
  template <class Cursor>
  static constexpr auto at(const Cursor& x) {
    const auto p = plaquette(x, 0, 1);
    const auto line = turn_of_angle(winding_line(x, 1));
    const double share = 1.0 / static_cast<double>(x.extent(1));  // every line is met at each of its sites
    return std::array{turn_of_angle(p).cos, -turns_of(p),    (wilson(x, 1, 2) + wilson(x, 2, 1)) * 0.5,
                      wilson(x, 2, 2),      wilson(x, 3, 3), line.cos * share,
                      line.sin * share};
  }

  // Calls add(place, component, slope) for the slopes of slopes[0] at(x)[0], the only part of the action, by all
  // variables that it reads.
  template <class Cursor, class Add>
  static constexpr void pull_back(const Cursor& x, const std::array<double, U1Gauge::kSums>& slopes, Add add) {
    const auto slope = turn_of_angle(plaquette(x, 0, 1)).sin * -slopes[0];
    add(x, 0, slope);
    add(x.forward(0), 1, slope);
    add(x.forward(1), 0, -slope);
    add(x, 1, -slope);
  }

 private:
  template <class Cursor>
  static constexpr auto wilson(const Cursor& x, std::size_t a, std::size_t b) {
    return turn_of_angle(rectangle(x, 0, a, 1, b)).cos;
  }
};
