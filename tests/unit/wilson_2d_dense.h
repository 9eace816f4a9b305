// The Wilson operator of lattice/wilson_2d.h as the dense matrix that its formula says, for tests: slow and plain.
#pragma once

#include <cmath>
#include <complex>
#include <cstddef>
#include <utility>
#include <vector>

namespace flowloom {

using StdComplex = std::complex<double>;

struct DenseMatrix {
  std::size_t size;
  std::vector<StdComplex> elements;  // [row][column]

  explicit DenseMatrix(std::size_t of_size) : size(of_size), elements(of_size * of_size) {}
  StdComplex& operator()(std::size_t i, std::size_t j) { return elements[i * size + j]; }
  const StdComplex& operator()(std::size_t i, std::size_t j) const { return elements[i * size + j]; }
};

// Component 2 site + spin, the spin in the basis of Pauli's matrices; `angles` [mu][site].
inline DenseMatrix dense_wilson(std::size_t space, std::size_t time, double mass, const std::vector<double>& angles) {
  constexpr StdComplex kI(0, 1);
  const StdComplex one[2][2] = {{1, 0}, {0, 1}}, sigma[2][2][2] = {{{0, 1}, {1, 0}}, {{0, -kI}, {kI, 0}}};
  const std::size_t sites = space * time;
  DenseMatrix d(2 * sites);
  for (std::size_t i = 0; i < 2 * sites; ++i) d(i, i) += mass + 2;
  for (std::size_t mu = 0; mu < 2; ++mu) {
    for (std::size_t site = 0; site < sites; ++site) {
      const std::size_t x = site / time, t = site % time;
      const std::size_t forward = mu == 0 ? (x + 1) % space * time + t : x * time + (t + 1) % time;
      StdComplex link = std::polar(1.0, angles[mu * sites + site]);
      if (mu == 1 && t + 1 == time) link = -link;
      for (std::size_t a = 0; a < 2; ++a) {
        for (std::size_t b = 0; b < 2; ++b) {
          d(2 * site + a, 2 * forward + b) -= 0.5 * (one[a][b] - sigma[mu][a][b]) * link;
          d(2 * forward + a, 2 * site + b) -= 0.5 * (one[a][b] + sigma[mu][a][b]) * std::conj(link);
        }
      }
    }
  }
  return d;
}

struct DenseSolution {
  double log_abs_det = 0;
  StdComplex phase = 1;  // of the determinant
  DenseMatrix inverse;
};

// By Gauss and Jordan's elimination with partial pivoting.
inline DenseSolution dense_solve(DenseMatrix m) {
  DenseSolution solution{.inverse = DenseMatrix(m.size)};
  DenseMatrix& inverse = solution.inverse;
  for (std::size_t i = 0; i < m.size; ++i) inverse(i, i) = 1;
  for (std::size_t k = 0; k < m.size; ++k) {
    std::size_t largest = k;
    for (std::size_t i = k + 1; i < m.size; ++i) {
      if (std::abs(m(i, k)) > std::abs(m(largest, k))) largest = i;
    }
    if (largest != k) {
      for (std::size_t j = 0; j < m.size; ++j) {
        std::swap(m(k, j), m(largest, j));
        std::swap(inverse(k, j), inverse(largest, j));
      }
      solution.phase = -solution.phase;
    }
    const StdComplex pivot = m(k, k);
    solution.log_abs_det += std::log(std::abs(pivot));
    solution.phase *= pivot / std::abs(pivot);
    for (std::size_t j = 0; j < m.size; ++j) {
      m(k, j) /= pivot;
      inverse(k, j) /= pivot;
    }
    for (std::size_t i = 0; i < m.size; ++i) {
      const StdComplex factor = m(i, k);
      if (i == k || factor == 0.0) continue;
      for (std::size_t j = 0; j < m.size; ++j) {
        m(i, j) -= factor * m(k, j);
        inverse(i, j) -= factor * inverse(k, j);
      }
    }
  }
  return solution;
}

}  // namespace flowloom
