#include "lattice/link_update.h"

#include <cmath>

#include "math/elementary.h"

namespace flowloom {
namespace {

// a0 + i a sigma, sigma being Pauli's matrices: an element of SU(2) if its square sums to 1.
struct Quaternion {
  double a0, a1, a2, a3;
};

Quaternion operator*(const Quaternion& a, const Quaternion& b) {
  return {a.a0 * b.a0 - a.a1 * b.a1 - a.a2 * b.a2 - a.a3 * b.a3, a.a0 * b.a1 + b.a0 * a.a1 - a.a2 * b.a3 + a.a3 * b.a2,
          a.a0 * b.a2 + b.a0 * a.a2 - a.a3 * b.a1 + a.a1 * b.a3, a.a0 * b.a3 + b.a0 * a.a3 - a.a1 * b.a2 + a.a2 * b.a1};
}

Quaternion adjoint(const Quaternion& a) { return {a.a0, -a.a1, -a.a2, -a.a3}; }

// size * direction, direction in SU(2).
struct Polar {
  double size;
  Quaternion direction;
};

// What an element r of SU(2) on rows and columns i, j sees of W: Re tr(r W) = size Re tr(r direction) + terms without
// r.
template <std::size_t N>
Polar project(const LinkMatrix<N>& w, std::size_t i, std::size_t j) {
  const Quaternion a{0.5 * (w.re(i, i) + w.re(j, j)), 0.5 * (w.im(i, j) + w.im(j, i)), 0.5 * (w.re(i, j) - w.re(j, i)),
                     0.5 * (w.im(i, i) - w.im(j, j))};
  const double size = std::sqrt(a.a0 * a.a0 + a.a1 * a.a1 + a.a2 * a.a2 + a.a3 * a.a3);
  if (!(size > 0)) return {0, {1, 0, 0, 0}};
  return {size, {a.a0 / size, a.a1 / size, a.a2 / size, a.a3 / size}};
}

// Rows i and j of `m`, multiplied by r from the left.
template <std::size_t N>
void rotate_rows(LinkMatrix<N>& m, std::size_t i, std::size_t j, const Quaternion& r) {
  for (std::size_t k = 0; k < N; ++k) {
    const double xr = m.re(i, k), xi = m.im(i, k), yr = m.re(j, k), yi = m.im(j, k);
    m.re(i, k) = r.a0 * xr - r.a3 * xi + r.a2 * yr - r.a1 * yi;
    m.im(i, k) = r.a0 * xi + r.a3 * xr + r.a2 * yi + r.a1 * yr;
    m.re(j, k) = -r.a2 * xr - r.a1 * xi + r.a0 * yr + r.a3 * yi;
    m.im(j, k) = -r.a2 * xi + r.a1 * xr + r.a0 * yi - r.a3 * yr;
  }
}

// 1 - y0 with density sqrt(1 - y0^2) exp(alpha y0) on [-1, 1].
double draw_depth(double alpha, NoiseStream& noise) {
  if (alpha < 1) {
    while (true) {
      const double y0 = 2 * noise.uniform() - 1;
      const double u = noise.uniform();
      if (u < std::sqrt(1 - y0 * y0) * exp((y0 - 1) * alpha)) return 1 - y0;
    }
  }
  while (true) {
    const double r1 = noise.uniform(), r2 = noise.uniform(), r3 = noise.uniform(), r4 = noise.uniform();
    const double cosine = turn(r2).cos;
    const double depth = -(log(r1) + cosine * cosine * log(r3)) / alpha;
    if (r4 * r4 <= 1 - 0.5 * depth) return depth;
  }
}

// An element y of SU(2) with density exp(alpha y0) in the Haar measure.
Quaternion draw_su2(double alpha, NoiseStream& noise) {
  const double depth = draw_depth(alpha, noise);
  const double length = std::sqrt(depth * (2 - depth));
  const double z = 2 * noise.uniform() - 1;
  const auto [cos, sin] = turn(noise.uniform());
  const double rest = std::sqrt(1 - z * z);
  return {1 - depth, length * rest * cos, length * rest * sin, length * z};
}

// cos(phi), sin(phi) of an angle with von Mises' density exp(kappa cos(phi)), by rejection from a wrapped Cauchy
// distribution, which is the image of a uniform angle. Best and Fisher's r, f and c are here (1 + rho^2) / (2 rho),
// cos(phi) and kappa (r - f), without what would cancel at kappa -> 0.
Turn<double> draw_von_mises(double kappa, NoiseStream& noise) {
  const double tau = 1 + std::sqrt(1 + 4 * kappa * kappa);
  const double scale = 0.25 * (tau + std::sqrt(2 * tau));  // kappa / (2 rho)
  const double rho = 0.5 * kappa / scale;
  while (true) {
    const Turn<double> uniform = turn(noise.uniform());
    const double u = noise.uniform();
    const double denominator = 1 + rho * rho + 2 * rho * uniform.cos;
    const double f = (2 * rho + (1 + rho * rho) * uniform.cos) / denominator;
    const double c = scale * (1 + rho * rho) - kappa * f;
    if (c * (2 - c) - u > 0 || log(c / u) + 1 - c >= 0) return {f, (1 - rho * rho) * uniform.sin / denominator};
  }
}

// Calls update(i, j) for each SU(2) subgroup.
template <std::size_t N, class Update>
void for_subgroups(Update update) {
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = i + 1; j < N; ++j) update(i, j);
  }
}

}  // namespace

template <std::size_t N>
void heat_bath(LinkMatrix<N>& u, const LinkMatrix<N>& staples, double beta, NoiseStream& noise) {
  if constexpr (N == 1) {
    // exp(beta |A| cos(phi)) for U = exp(i phi) A^* / |A|
    const double size = std::sqrt(staples.re(0, 0) * staples.re(0, 0) + staples.im(0, 0) * staples.im(0, 0));
    const LinkMatrix<1> maximum{size > 0 ? std::array{staples.re(0, 0) / size, -staples.im(0, 0) / size}
                                         : std::array{1.0, 0.0}};
    const auto [cos, sin] = draw_von_mises(beta * size, noise);
    u = LinkMatrix<1>{{cos, sin}} * maximum;
  } else {
    LinkMatrix<N> w = u * staples;
    for_subgroups<N>([&](std::size_t i, std::size_t j) {
      const Polar polar = project(w, i, j);
      // (beta / N) size Re tr(y) with y = r direction, and Re tr(y) = 2 y0
      const Quaternion y = draw_su2(2 * beta / static_cast<double>(N) * polar.size, noise);
      const Quaternion r = y * adjoint(polar.direction);
      rotate_rows(u, i, j, r);
      rotate_rows(w, i, j, r);
    });
  }
}

template <std::size_t N>
void overrelax(LinkMatrix<N>& u, const LinkMatrix<N>& staples) {
  if constexpr (N == 1) {
    const double square = staples.re(0, 0) * staples.re(0, 0) + staples.im(0, 0) * staples.im(0, 0);
    if (!(square > 0)) return;
    // A^* / A U^*
    u = adjoint(staples * staples * u);
    for (double& x : u.entries) x /= square;
  } else {
    LinkMatrix<N> w = u * staples;
    for_subgroups<N>([&](std::size_t i, std::size_t j) {
      const Quaternion back = adjoint(project(w, i, j).direction);
      const Quaternion r = back * back;
      rotate_rows(u, i, j, r);
      rotate_rows(w, i, j, r);
    });
  }
}

template void heat_bath(LinkMatrix<1>&, const LinkMatrix<1>&, double, NoiseStream&);
template void heat_bath(LinkMatrix<2>&, const LinkMatrix<2>&, double, NoiseStream&);
template void heat_bath(LinkMatrix<3>&, const LinkMatrix<3>&, double, NoiseStream&);
template void overrelax(LinkMatrix<1>&, const LinkMatrix<1>&);
template void overrelax(LinkMatrix<2>&, const LinkMatrix<2>&);
template void overrelax(LinkMatrix<3>&, const LinkMatrix<3>&);

}  // namespace flowloom
