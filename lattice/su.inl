// SU(N) gauge theory at one site (lattice/su.h), for a cursor (lattice/cursor.h).

// The link from x in direction mu. (Tensors have one of their own: flow/torch/tensor_matrix.h.)
template <int N, class Cursor>
constexpr auto link_matrix(const Cursor& x, std::size_t mu) {
  using V = std::remove_cvref_t<decltype(x.variable(0))>;
  const std::size_t first = mu * 2 * N * N;
  return matrix_of<N, V>([&](auto i, auto j) {
    return Complex<V>{x.variable(first + 2 * (N * i + j)), x.variable(first + 2 * (N * i + j) + 1)};
  });
}

// The product of links along a path. It goes on at its end by a link forwards: a + b; and at its beginning by one
// backwards: a - b. In the loops of lattice/loops.inl each link is one of these.
template <class M>
struct PathProduct {
  M product;
};
template <class M>
constexpr PathProduct<M> operator+(const PathProduct<M>& a, const PathProduct<M>& b) {
  return {a.product * b.product};
}
template <class M>
constexpr PathProduct<M> operator-(const PathProduct<M>& a, const PathProduct<M>& b) {
  return {adjoint_times(b.product, a.product)};
}

// A cursor whose variables are links.
template <int N, class Cursor>
class LinkCursor {
 public:
  constexpr explicit LinkCursor(const Cursor& place) : place_(place) {}

  constexpr auto variable(std::size_t mu) const {
    const auto link = link_matrix<N>(place_, mu);
    return PathProduct<std::remove_cv_t<decltype(link)>>{link};
  }
  constexpr LinkCursor forward(std::size_t mu) const { return LinkCursor(place_.forward(mu)); }
  constexpr LinkCursor backward(std::size_t mu) const { return LinkCursor(place_.backward(mu)); }
  constexpr std::size_t dimensions() const { return place_.dimensions(); }
  constexpr std::size_t extent(std::size_t mu) const { return place_.extent(mu); }

 private:
  Cursor place_;
};

template <int N>
struct LocalDensities<SuGauge<N>> {
  // In the order of SuGauge<N>::sums(). A wide loop may wrap around a small lattice.
  template <class Cursor>
  static constexpr auto at(const Cursor& place) {
    const LinkCursor<N, Cursor> x(place);
    const std::size_t time = x.dimensions() - 1;
    const double share = 1.0 / static_cast<double>(N * x.extent(time));  // every line is met at each of its sites
    const auto line = polyakov(x, time);
    const auto plaquettes = over_planes(x, [&](std::size_t mu, std::size_t nu) { return wilson(x, mu, 1, nu, 1); });
    const auto oblong = over_planes(
        x, [&](std::size_t mu, std::size_t nu) { return (wilson(x, mu, 1, nu, 2) + wilson(x, mu, 2, nu, 1)) * 0.5; });
    const auto square = over_planes(x, [&](std::size_t mu, std::size_t nu) { return wilson(x, mu, 2, nu, 2); });
    const auto large = over_planes(x, [&](std::size_t mu, std::size_t nu) { return wilson(x, mu, 3, nu, 3); });
    if constexpr (N == 2) {
      return std::array{plaquettes, oblong, square, large, line.re * share};
    } else {
      return std::array{plaquettes, oblong, square, large, line.re * share, line.im * share};
    }
  }

  // Calls add(place, component, slope) for the slopes of slopes[0] at(x)[0], the only part of the action, by all links
  // that it reads: a matrix F of su(N) for each (lattice/su.h). A loop's F at one of its sites is the one at its
  // beginning, carried there.
  template <class Cursor, class Add>
  static constexpr void pull_back(const Cursor& x, const std::array<double, SuGauge<N>::kSums>& slopes, Add add) {
    for (std::size_t nu = 1; nu < x.dimensions(); ++nu) {
      for (std::size_t mu = 0; mu < nu; ++mu) {
        const auto right = x.forward(mu), above = x.forward(nu);
        const auto first = link_matrix<N>(x, mu), last = link_matrix<N>(x, nu);
        const auto loop =
            times_adjoint(times_adjoint(first * link_matrix<N>(right, nu), link_matrix<N>(above, mu)), last);
        const auto slope = scaled(algebra_part(adjoint(loop)), slopes[0] / N);
        put(x, mu, slope, add);
        put(right, nu, adjoint_times(first, slope * first), add);
        put(above, mu, scaled(adjoint_times(last, slope * last), -1), add);
        put(x, nu, scaled(slope, -1), add);
      }
    }
  }

 private:
  template <class X, class Of>
  static constexpr auto over_planes(const X& x, Of of) {
    auto sum = of(0, 1);
    for (std::size_t nu = 2; nu < x.dimensions(); ++nu) {
      for (std::size_t mu = 0; mu < nu; ++mu) sum = sum + of(mu, nu);
    }
    return sum;
  }

  // Once for all sizes, in a function of its own: of lanes it is long.
  template <class X>
  [[gnu::noinline]] FLOWLOOM_FLATTEN static constexpr auto wilson(const X& x, std::size_t mu, std::size_t a,
                                                                  std::size_t nu, std::size_t b) {
    return real_trace(rectangle(x, mu, a, nu, b).product) * (1.0 / N);
  }
  template <class X>
  [[gnu::noinline]] FLOWLOOM_FLATTEN static constexpr auto polyakov(const X& x, std::size_t time) {
    return trace(winding_line(x, time).product);
  }

  template <class V>
  static constexpr Matrix<N, V> scaled(const Matrix<N, V>& a, double factor) {
    return matrix_of<N, V>([&](auto i, auto j) { return Complex<V>{a.at[i][j].re * factor, a.at[i][j].im * factor}; });
  }

  template <class Cursor, class V, class Add>
  static constexpr void put(const Cursor& place, std::size_t mu, const Matrix<N, V>& slope, Add& add) {
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        const std::size_t component = mu * 2 * N * N + 2 * (N * i + j);
        add(place, component, slope.at[i][j].re);
        add(place, component + 1, slope.at[i][j].im);
      });
    });
  }
};
