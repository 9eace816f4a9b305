#include "math/spectrum.h"

#include <gtest/gtest.h>

#include <limits>

#include "group_cases.h"

namespace flowloom {
namespace {

template <int N>
std::array<double, N> gaps_of(const Spectrum<N, double>& spectrum) {
  std::array<double, N> gap;
  for (std::size_t k = 0; k < N; ++k) gap[k] = spectrum.gap[k];
  return gap;
}

// What math/spectrum.h promises of one matrix.
template <int N>
void expect_decomposed(const Group<N>& u) {
  const auto spectrum = decompose(u);
  const auto gap = gaps_of<N>(spectrum);
  ASSERT_LT(distance(with_spectrum<N>(spectrum.vectors, gap), u), 6e-15);
  ASSERT_LT(distance(adjoint_times(spectrum.vectors, spectrum.vectors), unit<N>()), 3e-15);
  double sum = 0;
  for (const double g : gap) {
    ASSERT_GE(g, 0);
    ASSERT_LE(g, 1);
    sum += g;
  }
  ASSERT_NEAR(sum, 1, 1e-15);
}

TEST(Spectrum, IsThatOfRandomMatrices) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 20000; ++k) expect_decomposed<n>(random_group<n>(k));
  });
}

TEST(Spectrum, IsAsGoodWhereEigenvaluesAreNearlyOrFullyEqual) {
  for_both([](auto n) {
    for (const double distance : {1e-2, 1e-4, 1e-6, 1e-8, 1e-9, 1e-11, 1e-13, 1e-15, 1e-16, 0.0}) {
      for (const auto& gap : gaps_near_edges<n>(distance)) {
        for (std::uint64_t k = 0; k < 50; ++k) {
          const auto u = with_spectrum<n>(random_group<n>(k), gap);
          expect_decomposed<n>(u);
          const auto found = decompose(u);
          for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(found.gap[i], gap[i], 1.5e-15);
        }
      }
    }
  });
}

// Diagonal matrices, permutations, the centre: where a formula would divide by 0.
TEST(Spectrum, IsThatOfMatricesWithZeros) {
  for_both([](auto n) {
    for (const double distance : {0.2, 1e-9, 0.0}) {
      for (const auto& gap : gaps_near_edges<n>(distance)) expect_decomposed<n>(with_spectrum<n>(unit<n>(), gap));
    }
    expect_decomposed<n>(unit<n>());
  });
  expect_decomposed<2>(scaled(unit<2>(), -1.0));
  for (const double third : {1. / 3, -1. / 3}) {
    const auto centre = turn(third);
    Group<3> m{};
    for (int i = 0; i < 3; ++i) m.at[i][i] = {centre.cos, centre.sin};
    expect_decomposed<3>(m);
  }
  Group<3> cyclic{};
  for (int i = 0; i < 3; ++i) cyclic.at[i][(i + 1) % 3].re = 1;
  expect_decomposed<3>(cyclic);
  expect_decomposed<3>(adjoint(cyclic));
  Group<2> swap{};
  swap.at[0][1].re = 1;
  swap.at[1][0].re = -1;
  expect_decomposed<2>(swap);
}

// Three equidistant eigenvalues: the isolated one is as near to the others as it gets.
TEST(Spectrum, IsThatOfEquidistantEigenvalues) {
  for (std::uint64_t k = 0; k < 1000; ++k) {
    const auto noise = normals(k, 2);
    const double size = std::pow(10.0, -static_cast<double>(k % 17));
    const double first = 1. / 3 + 0.1 * size * noise[0], second = 1. / 3 + 0.1 * size * noise[1];
    expect_decomposed<3>(with_spectrum<3>(random_group<3>(k), {first, second, 1 - first - second}));
  }
}

TEST(Spectrum, HasTheGapOfANearlyCentralSu2MatrixToItsLastDigits) {
  for (const double gap : {1e-3, 1e-6, 1e-9, 1e-12}) {
    Group<2> u = unit<2>();
    const auto half = turn(gap * 0.5);
    u.at[0][0] = {half.cos, half.sin};
    u.at[1][1] = conj(u.at[0][0]);
    EXPECT_NEAR(decompose(u).gap[0] / gap, 1, 1e-15);
  }
}

TEST(Spectrum, StaysUnderConjugation) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto u = random_group<n>(k), x = random_group<n>(k + 1000);
      const auto one = decompose(u), other = decompose(times_adjoint(x * u, x));
      for (int i = 0; i < n; ++i) ASSERT_NEAR(one.gap[i], other.gap[i], 3e-15);
    }
  });
}

TEST(Spectrum, ANaNReachesEveryGap) {
  for_both([](auto n) {
    constexpr int N = n;
    for (int k = 0; k < 2 * N * N; ++k) {
      auto u = random_group<N>(1);
      auto& entry = u.at[k / 2 / N][k / 2 % N];
      (k % 2 ? entry.im : entry.re) = std::numeric_limits<double>::quiet_NaN();
      const auto spectrum = decompose(u);
      for (int i = 0; i < N; ++i) EXPECT_TRUE(is_nan(spectrum.gap[i])) << k;
    }
  });
}

}  // namespace
}  // namespace flowloom
