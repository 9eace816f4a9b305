// The N x N complex matrices of links, for N = 1, 2, 3: elements of U(1), SU(2), SU(3), and sums of such (staples).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

namespace flowloom {

template <std::size_t N>
struct LinkMatrix {
  static constexpr std::size_t kDoubles = 2 * N * N;
  std::array<double, kDoubles> entries{};  // [row][column][re, im]

  constexpr double& re(std::size_t i, std::size_t j) { return entries[2 * (N * i + j)]; }
  constexpr double& im(std::size_t i, std::size_t j) { return entries[2 * (N * i + j) + 1]; }
  constexpr double re(std::size_t i, std::size_t j) const { return entries[2 * (N * i + j)]; }
  constexpr double im(std::size_t i, std::size_t j) const { return entries[2 * (N * i + j) + 1]; }

  static constexpr LinkMatrix identity() {
    LinkMatrix m;
    for (std::size_t i = 0; i < N; ++i) m.re(i, i) = 1;
    return m;
  }
};

template <std::size_t N>
LinkMatrix<N>& operator+=(LinkMatrix<N>& a, const LinkMatrix<N>& b) {
  for (std::size_t k = 0; k < a.entries.size(); ++k) a.entries[k] += b.entries[k];
  return a;
}

template <std::size_t N>
LinkMatrix<N> operator*(const LinkMatrix<N>& a, const LinkMatrix<N>& b) {
  LinkMatrix<N> c;
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t k = 0; k < N; ++k) {
      for (std::size_t j = 0; j < N; ++j) {
        c.re(i, j) += a.re(i, k) * b.re(k, j) - a.im(i, k) * b.im(k, j);
        c.im(i, j) += a.re(i, k) * b.im(k, j) + a.im(i, k) * b.re(k, j);
      }
    }
  }
  return c;
}

template <std::size_t N>
LinkMatrix<N> adjoint(const LinkMatrix<N>& a) {
  LinkMatrix<N> c;
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = 0; j < N; ++j) {
      c.re(i, j) = a.re(j, i);
      c.im(i, j) = -a.im(j, i);
    }
  }
  return c;
}

// The element of the group near `a`: its first rows made orthonormal by Gram and Schmidt; for N = 2, 3 the last one is
// then what makes the determinant 1. `a` differs from it by rounding errors.
template <std::size_t N>
void reunitarise(LinkMatrix<N>& a) {
  constexpr std::size_t kFree = N == 1 ? 1 : N - 1;
  for (std::size_t i = 0; i < kFree; ++i) {
    for (std::size_t k = 0; k < i; ++k) {  // row i -= (row k, row i) row k
      double re = 0, im = 0;
      for (std::size_t j = 0; j < N; ++j) {
        re += a.re(k, j) * a.re(i, j) + a.im(k, j) * a.im(i, j);
        im += a.re(k, j) * a.im(i, j) - a.im(k, j) * a.re(i, j);
      }
      for (std::size_t j = 0; j < N; ++j) {
        const double x = a.re(k, j), y = a.im(k, j);
        a.re(i, j) -= re * x - im * y;
        a.im(i, j) -= re * y + im * x;
      }
    }
    double square = 0;
    for (std::size_t j = 0; j < N; ++j) square += a.re(i, j) * a.re(i, j) + a.im(i, j) * a.im(i, j);
    const double scale = 1 / std::sqrt(square);
    for (std::size_t j = 0; j < N; ++j) {
      a.re(i, j) *= scale;
      a.im(i, j) *= scale;
    }
  }
  if constexpr (N == 2) {
    a.re(1, 0) = -a.re(0, 1);
    a.im(1, 0) = a.im(0, 1);
    a.re(1, 1) = a.re(0, 0);
    a.im(1, 1) = -a.im(0, 0);
  }
  if constexpr (N == 3) {  // the conjugate of row 0 x row 1
    for (std::size_t j = 0; j < 3; ++j) {
      const std::size_t k = (j + 1) % 3, l = (j + 2) % 3;
      a.re(2, j) =
          a.re(0, k) * a.re(1, l) - a.im(0, k) * a.im(1, l) - a.re(0, l) * a.re(1, k) + a.im(0, l) * a.im(1, k);
      a.im(2, j) =
          -(a.re(0, k) * a.im(1, l) + a.im(0, k) * a.re(1, l) - a.re(0, l) * a.im(1, k) - a.im(0, l) * a.re(1, k));
    }
  }
}

}  // namespace flowloom
