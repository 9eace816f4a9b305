// Loops of links for a cursor (lattice/cursor.h) whose variables are angles, or anything that can be added and
// subtracted: lists of links, which is how masks and contexts know what a loop consists of (flow/loop_coupling.h);
// products of matrices, where + and - go on along a path at its end and at its beginning (lattice/su.inl).

// The angle of the rectangle of `a` links in direction mu and `b` in direction nu whose corner is x: along mu, along
// nu, back, back.
template <class Cursor>
constexpr auto rectangle(const Cursor& x, std::size_t mu, std::size_t a, std::size_t nu, std::size_t b) {
  auto sum = x.variable(mu);
  Cursor below = x.forward(mu), left = x;
  for (std::size_t i = 1; i < a; ++i, below = below.forward(mu)) sum = sum + below.variable(mu);
  for (std::size_t i = 0; i < b; ++i) {
    sum = sum + below.variable(nu) - left.variable(nu);
    below = below.forward(nu);
    left = left.forward(nu);
  }
  for (std::size_t i = 0; i < a; ++i, left = left.forward(mu)) sum = sum - left.variable(mu);
  return sum;
}

// The plaquette P_{mu nu}(x) = theta_mu(x) + theta_nu(x+mu) - theta_mu(x+nu) - theta_nu(x).
template <class Cursor>
constexpr auto plaquette(const Cursor& x, std::size_t mu, std::size_t nu) {
  return rectangle(x, mu, 1, nu, 1);
}

// The loop of links around the lattice through x in direction mu.
template <class Cursor>
constexpr auto winding_line(const Cursor& x, std::size_t mu) {
  auto sum = x.variable(mu);
  Cursor next = x.forward(mu);
  for (std::size_t i = 1; i < x.extent(mu); ++i, next = next.forward(mu)) sum = sum + next.variable(mu);
  return sum;
}
