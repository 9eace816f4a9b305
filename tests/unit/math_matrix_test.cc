#include "math/matrix.h"

#include <gtest/gtest.h>

#include "group_cases.h"

namespace flowloom {
namespace {

TEST(Matrix, ProductsAreSumsOverTheInnerIndex) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto a = random_matrix<N>(1), b = random_matrix<N>(2);
    for (int i = 0; i < N; ++i) {
      for (int j = 0; j < N; ++j) {
        Complex<double> expected{0, 0};
        for (int k = 0; k < N; ++k) {
          const auto &x = a.at[i][k], &y = b.at[k][j];
          expected = expected + Complex<double>{x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
        }
        EXPECT_LT(norm((a * b).at[i][j] - expected), 1e-28);
      }
    }
  });
}

TEST(Matrix, ProductsWithAnAdjointAreThoseWithTheAdjointFormed) {
  for_both([](auto n) {
    const auto a = random_matrix<n>(3), b = random_matrix<n>(4);
    EXPECT_LT(distance(times_adjoint(a, b), a * adjoint(b)), 1e-14);
    EXPECT_LT(distance(adjoint_times(a, b), adjoint(a) * b), 1e-14);
    EXPECT_EQ(adjoint(a).at[0][1].im, -a.at[1][0].im);
  });
}

TEST(Matrix, TheTraceOfAProductIsCyclic) {
  for_both([](auto n) {
    const auto a = random_matrix<n>(5), b = random_matrix<n>(6), c = random_matrix<n>(7);
    EXPECT_LT(norm(trace(a * b * c) - trace(c * a * b)), 1e-26);
    EXPECT_EQ(real_trace(a), trace(a).re);
    EXPECT_NEAR(norm(a), real_trace(adjoint_times(a, a)), 1e-13);
  });
}

TEST(Matrix, TheDeterminantIsMultiplicativeAndThatOfTheDiagonal) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto a = random_matrix<N>(8), b = random_matrix<N>(9);
    EXPECT_LT(norm(determinant(a * b) - determinant(a) * determinant(b)), 1e-24);
    auto triangle = a;
    Complex<double> product{1, 0};
    for (int i = 0; i < N; ++i) {
      product = product * a.at[i][i];
      for (int j = 0; j < i; ++j) triangle.at[i][j] = {0, 0};
    }
    EXPECT_LT(norm(determinant(triangle) - product), 1e-28);
  });
}

TEST(Matrix, TheAlgebraPartIsTheProjection) {
  for_both([](auto n) {
    const auto m = random_matrix<n>(10), part = algebra_part(m);
    auto sum = scaled(m, 0.0);
    for (const auto& direction : algebra_basis<n>()) sum = sum + scaled(direction, dot(direction, m));
    EXPECT_LT(distance(part, sum), 1e-14);
  });
}

TEST(Matrix, ALeftSlopeFollowsFromAEuclideanOneAndBack) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto u = random_group<N>(11), g = random_matrix<N>(12);
    const auto loss = [&](const Group<N>& at) { return dot(g, at); };
    const auto left = algebra_part(times_adjoint(g, u));
    for (const auto& direction : algebra_basis<N>()) {
      const double found = slope_of([&](double x) { return loss(exponential(scaled(direction, x)) * u); }, 1e-3);
      EXPECT_NEAR(dot(left, direction), found, 1e-11);
      EXPECT_NEAR(dot(left * u, direction * u), found, 1e-11);
    }
  });
}

TEST(Haar, MatricesAreUnitaryWithDeterminantOne) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 10000; ++k) {
      const auto u = random_group<n>(k);
      ASSERT_LT(distance(times_adjoint(u, u), unit<n>()), 1e-14);
      ASSERT_LT(norm(determinant(u) - Complex<double>{1, 0}), 1e-28);
    }
  });
}

TEST(Haar, NearlyParallelRowsMakeNoLessUnitaryAMatrix) {
  for (const double difference : {1e-3, 1e-6, 1e-9}) {
    std::array<double, kNormalsPerLink<3>> noise;
    const auto values = normals(13, 12);
    for (std::size_t k = 0; k < 6; ++k) {
      noise[k] = values[k];
      noise[k + 6] = values[k] + difference * values[k + 6];
    }
    const auto u = haar<3>(noise);
    EXPECT_LT(distance(times_adjoint(u, u), unit<3>()), 1e-14);
  }
}

// Which is why the distribution has no preferred matrix: normals have no preferred direction.
TEST(Haar, TurningTheNormalsTurnsTheMatrix) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto x = random_group<N>(14);
    std::array<double, kNormalsPerLink<N>> noise, turned;
    fill_normal(NoiseKey::from("turned"), Purpose::kBase, 0, noise);
    for (int i = 0; i < N - 1; ++i) {
      for (int j = 0; j < N; ++j) {
        Complex<double> sum{0, 0};
        for (int k = 0; k < N; ++k) {
          const auto at = static_cast<std::size_t>(2 * (N * i + k));
          sum = sum + Complex<double>{noise[at], noise[at + 1]} * x.at[k][j];
        }
        const auto at = static_cast<std::size_t>(2 * (N * i + j));
        turned[at] = sum.re;
        turned[at + 1] = sum.im;
      }
    }
    EXPECT_LT(distance(haar<N>(turned), haar<N>(noise) * x), 1e-14);
  });
}

}  // namespace
}  // namespace flowloom
