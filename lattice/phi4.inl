// phi^4 at one site (lattice/phi4.h), for a cursor (lattice/cursor.h).

template <>
struct LocalDensities<Phi4> {
  // The summands of the sums that the log keeps, in the order of Phi4::sums().
  template <class Cursor>
  static constexpr auto at(const Cursor& x) {
    const auto phi = x.variable(0);
    const auto square = phi * phi;
    return std::array{phi * ahead(x), square, square * square, phi};
  }

  // Calls add(place, component, slope) for the slopes of sum_k slopes[k] at(x)[k] by all variables that it reads.
  template <class Cursor, class Add>
  static constexpr void pull_back(const Cursor& x, const std::array<double, Phi4::kSums>& slopes, Add add) {
    const auto phi = x.variable(0);
    using T = std::remove_const_t<decltype(phi)>;
    const auto cube = phi * phi * (phi + phi);
    add(x, 0, ahead(x) * slopes[0] + (phi + phi) * slopes[1] + (cube + cube) * slopes[2] + T(slopes[3]));
    for (std::size_t mu = 0; mu < x.dimensions(); ++mu) add(x.forward(mu), 0, phi * slopes[0]);
  }

 private:
  // sum_mu phi(x+mu)
  template <class Cursor>
  static constexpr auto ahead(const Cursor& x) {
    auto sum = x.forward(0).variable(0);
    for (std::size_t mu = 1; mu < x.dimensions(); ++mu) sum = sum + x.forward(mu).variable(0);
    return sum;
  }
};
