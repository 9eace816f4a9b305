// The free-field prior (arXiv:2211.07541, appendix A, eqs. 10 and 11; factor 2 as in action form A of lattice/phi4.h):
//
//   field = K z,   K = [2 (-Laplacian + M^2)]^(-1/2),   log r(field) = log n(z) - sum_k log f(k)
//   f(k) = [2 (khat^2 + M^2)]^(-1/2),   khat^2 = sum_mu 4 sin^2(k_mu / 2),   k_mu = 2 pi n_mu / L_mu
//
// z are independent standard normals, n their density, M^2 = e^theta with theta a weight. K is diagonal in any basis of
// eigenvectors of the Laplacian. This is the real one: products over the directions of
// cas(k_mu x_mu) / sqrt(L_mu), cas = cos + sin. It is symmetric and its own inverse, and applying it costs
// sum_mu L_mu multiplications for each site.
#pragma once

#include <vector>

#include "lattice/geometry.h"
#include "math/value.h"

namespace flowloom {

// f(k) from khat^2 and M^2. T: a double, a tensor of modes.
template <class T>
T free_field_amplitude(const T& khat2, const T& mass2) {
  return 1.0 / sqrt((khat2 + mass2) * 2.0);
}

// d(log f) / d(theta).
inline double free_field_log_slope(double khat2, double mass2) { return -0.5 * mass2 / (khat2 + mass2); }

struct FreeFieldBasis {
  explicit FreeFieldBasis(const Geometry& geometry);

  std::vector<std::vector<double>> cas;  // [mu][k * L_mu + x], with the factor 1/sqrt(L_mu)
  std::vector<double> khat2;             // [mode], modes numbered as sites are
};

}  // namespace flowloom
