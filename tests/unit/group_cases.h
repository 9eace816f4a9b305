// Matrices of SU(2) and SU(3) to test with, and directions in which to differentiate.
#pragma once

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "math/haar.h"
#include "spec/noise.h"

namespace flowloom {

template <int N>
using Group = Matrix<N, double>;

// Calls `check` with std::integral_constant<int, N>: SU(2) and SU(3).
template <class Check>
void for_both(Check check) {
  check(std::integral_constant<int, 2>());
  check(std::integral_constant<int, 3>());
}

template <int N>
Group<N> unit() {
  Group<N> m{};
  for (int i = 0; i < N; ++i) m.at[i][i].re = 1;
  return m;
}

template <int N>
Group<N> scaled(Group<N> m, double factor) {
  for (auto& row : m.at) {
    for (auto& entry : row) entry = entry * factor;
  }
  return m;
}

template <int N>
double distance(const Group<N>& a, const Group<N>& b) {
  return std::sqrt(norm(a - b));
}

// Re tr(a^dagger b), for which the basis below is orthonormal.
template <int N>
double dot(const Group<N>& a, const Group<N>& b) {
  return real_trace(adjoint_times(a, b));
}

inline std::vector<double> normals(std::uint64_t number, std::size_t count) {
  std::vector<double> values(count);
  fill_normal(NoiseKey::from("groups"), Purpose::kInit, number, values);
  return values;
}

template <int N>
Group<N> random_group(std::uint64_t number) {
  std::array<double, kNormalsPerLink<N>> noise;
  fill_normal(NoiseKey::from("groups"), Purpose::kBase, number, noise);
  return haar<N>(noise);
}

template <int N>
Group<N> random_matrix(std::uint64_t number) {
  const auto noise = normals(number, 2 * N * N);
  Group<N> m;
  for (std::size_t k = 0; k < N * N; ++k) m.at[k / N][k % N] = {noise[2 * k], noise[2 * k + 1]};
  return m;
}

template <int N>
Group<N> exponential(const Group<N>& a) {
  Group<N> sum = unit<N>(), term = sum;
  for (int k = 1; k < 40; ++k) {
    term = scaled(term * a, 1.0 / k);
    sum = sum + term;
  }
  return sum;
}

// Of su(N), orthonormal.
template <int N>
std::vector<Group<N>> algebra_basis() {
  const double root = std::sqrt(0.5);
  std::vector<Group<N>> basis;
  for (int i = 0; i < N; ++i) {
    for (int j = i + 1; j < N; ++j) {
      Group<N> turn{}, shift{};
      turn.at[i][j].re = root;
      turn.at[j][i].re = -root;
      shift.at[i][j].im = shift.at[j][i].im = root;
      basis.insert(basis.end(), {turn, shift});
    }
  }
  for (int k = 1; k < N; ++k) {
    Group<N> phases{};
    for (int i = 0; i <= k; ++i) phases.at[i][i].im = (i < k ? 1 : -k) / std::sqrt(k * (k + 1.0));
    basis.push_back(phases);
  }
  return basis;
}

// The angles that the gaps fix (math/spectrum.h), by their definition.
template <int N>
std::array<double, N> angles_of(const std::array<double, N>& gap) {
  std::array<double, N> theta{};
  double mean = 0;
  for (std::size_t k = 1; k < N; ++k) {
    theta[k] = theta[k - 1] + 2 * std::numbers::pi * gap[k - 1];
    mean += theta[k] / N;
  }
  for (double& angle : theta) angle -= mean;
  return theta;
}

// v diag(e^(i theta)) v^dagger
template <int N>
Group<N> with_spectrum(const Group<N>& v, const std::array<double, N>& gap) {
  const auto theta = angles_of<N>(gap);
  Group<N> turned = v;
  for (auto& row : turned.at) {
    for (std::size_t k = 0; k < N; ++k) row[k] = row[k] * Complex<double>{std::cos(theta[k]), std::sin(theta[k])};
  }
  return times_adjoint(turned, v);
}

// Gaps of the cell's inside and of all its edges and corners, at this distance from these, turned and mirrored.
template <int N>
std::vector<std::array<double, N>> gaps_near_edges(double distance) {
  if constexpr (N == 2) {
    return {{distance, 1 - distance}, {1 - distance, distance}};
  } else {
    std::vector<std::array<double, N>> found;
    for (const double other : {0.31, 0.5, 0.9, 0.7 * distance}) {
      const double rest = 1 - distance - other;
      found.insert(found.end(), {{distance, other, rest},
                                 {distance, rest, other},
                                 {other, distance, rest},
                                 {rest, distance, other},
                                 {other, rest, distance},
                                 {rest, other, distance}});
    }
    return found;
  }
}

// f'(0), of sixth order.
template <class Function>
double slope_of(Function f, double step) {
  const auto pair = [&](int k) { return (f(k * step) - f(-k * step)) / (60 * step); };
  return 45.0 * pair(1) - 9.0 * pair(2) + pair(3);
}

}  // namespace flowloom
