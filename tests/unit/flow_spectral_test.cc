// The spectral map against its definition: numerical Jacobians and slopes along the group's directions, for a smooth
// map of the coordinates.
#include "flow/spectral.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "group_cases.h"

namespace flowloom {
namespace {

// u' = u + a u (1 - u) and v' likewise with a that depends on u: maps of [0, 1] whose slopes at the ends are not 1.
constexpr double kBend = 0.37;
constexpr double bend(double u) { return 0.3 - 0.8 * u; }
constexpr double kBendSlope = -0.8;

double bent(double x, double a) { return x + a * x * (1 - x); }
double bent_slope(double x, double a) { return 1 + a * (1 - 2 * x); }
double unbent(double y, double a) { return 2 * y / (1 + a + std::sqrt((1 + a) * (1 + a) - 4 * a * y)); }

template <int N>
struct Mapped {
  Group<N> vectors, loop;
  Cell<N, double> from, to;
  double log_det;
};

template <int N, class MapOfBox>
Mapped<N> mapped(const Group<N>& l, MapOfBox map_of_box) {
  const auto spectrum = decompose(l);
  Mapped<N> result{spectrum.vectors, {}, cell_of(box_of(spectrum)), {}, 0};
  const auto [box, log_slopes] = map_of_box(result.from.box);
  result.to = cell_of(box);
  result.loop = recompose(spectrum.vectors, result.to);
  result.log_det = log_det_of_cells(result.from, result.to) + log_slopes;
  return result;
}

template <int N>
using BoxAndLog = std::pair<Box<N, double>, double>;

template <int N>
Mapped<N> forward(const Group<N>& l) {
  return mapped(l, [](const Box<N, double>& from) -> BoxAndLog<N> {
    Box<N, double> to = from;
    to.at[0] = bent(from.at[0], kBend);
    double log_slopes = std::log(bent_slope(from.at[0], kBend));
    if constexpr (N == 3) {
      to.at[1] = bent(from.at[1], bend(from.at[0]));
      log_slopes += std::log(bent_slope(from.at[1], bend(from.at[0])));
    }
    return {to, log_slopes};
  });
}

template <int N>
Mapped<N> inverse(const Group<N>& l) {
  return mapped(l, [](const Box<N, double>& from) -> BoxAndLog<N> {
    Box<N, double> to = from;
    to.at[0] = unbent(from.at[0], kBend);
    double log_slopes = -std::log(bent_slope(to.at[0], kBend));
    if constexpr (N == 3) {
      to.at[1] = unbent(from.at[1], bend(to.at[0]));
      log_slopes -= std::log(bent_slope(to.at[1], bend(to.at[0])));
    }
    return {to, log_slopes};
  });
}

template <int N>
Mapped<N> unchanged(const Group<N>& l) {
  return mapped(l, [](const Box<N, double>& from) { return BoxAndLog<N>(from, 0); });
}

// The slopes by the loop's parts from `slope` by L' and `log_det_slope`, as flow/spectral.h says: of forward().
template <int N>
LoopSlopes<N, double> pulled_back(const Mapped<N>& at, const Group<N>& slope, double log_det_slope) {
  const auto [frame, to] = recompose_pull_back(at.vectors, at.to, slope, log_det_slope);
  const double u = at.from.box.at[0];
  Box<N, double> from;
  from.at[0] = to.at[0] * bent_slope(u, kBend) - log_det_slope * 2 * kBend / bent_slope(u, kBend);
  if constexpr (N == 3) {
    const double v = at.from.box.at[1], a = bend(u), slope_v = bent_slope(v, a);
    from.at[1] = to.at[1] * slope_v - log_det_slope * 2 * a / slope_v;
    from.at[0] += kBendSlope * (to.at[1] * v * (1 - v) + log_det_slope * (1 - 2 * v) / slope_v);
  }
  return decompose_pull_back(at.vectors, at.from, at.to, frame, from, log_det_slope);
}

// log |det d(L' L'^dagger)/d(L L^dagger)| in a basis of su(N), by differences.
template <int N>
double numerical_log_det(const Group<N>& l, double step) {
  const auto basis = algebra_basis<N>();
  const Group<N> image = forward(l).loop;
  std::vector<std::vector<double>> jacobian;  // its transpose
  for (const auto& direction : basis) {
    std::vector<double> row;
    for (const auto& along : basis) {
      row.push_back(slope_of(
          [&](double x) {
            return dot(along, times_adjoint(forward(exponential(scaled(direction, x)) * l).loop, image));
          },
          step));
    }
    jacobian.push_back(row);
  }
  double log_det = 0;
  for (std::size_t i = 0; i < basis.size(); ++i) {
    const auto pivot = std::max_element(jacobian.begin() + static_cast<std::ptrdiff_t>(i), jacobian.end(),
                                        [&](auto& a, auto& b) { return std::abs(a[i]) < std::abs(b[i]); });
    std::swap(jacobian[i], *pivot);
    log_det += std::log(std::abs(jacobian[i][i]));
    for (std::size_t k = i + 1; k < basis.size(); ++k) {
      const double factor = jacobian[k][i] / jacobian[i][i];
      for (std::size_t j = i; j < basis.size(); ++j) jacobian[k][j] -= factor * jacobian[i][j];
    }
  }
  return log_det;
}

// Far enough from the edges for the step of a difference: where eigenvalues are equal the map has no third derivative.
template <int N>
bool is_inside(const Group<N>& l) {
  const auto spectrum = decompose(l);
  return std::all_of(spectrum.gap, spectrum.gap + N, [](double gap) { return gap > 0.03; });
}

TEST(SpectralMap, TheIdentityLeavesEveryLoopAndHasLogDetZero) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto l = random_group<n>(k);
      const auto same = unchanged(l);
      EXPECT_LT(distance(same.loop, l), 1e-14);
      EXPECT_EQ(same.log_det, 0);
    }
    for (const double gap : {1e-9, 1e-12, 1e-15, 0.0}) {
      for (const auto& gaps : gaps_near_edges<n>(gap)) {
        const auto l = with_spectrum<n>(random_group<n>(1), gaps);
        EXPECT_LT(distance(unchanged(l).loop, l), gap < 2e-12 ? 2e-11 : 1e-14);
        EXPECT_EQ(unchanged(l).log_det, 0);
      }
    }
  });
}

TEST(SpectralMap, CommutesWithConjugation) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto l = random_group<n>(k), x = random_group<n>(k + 1000);
      const auto one = forward(l), other = forward(times_adjoint(x * l, x));
      ASSERT_LT(distance(other.loop, times_adjoint(x * one.loop, x)), 1e-12);
      ASSERT_NEAR(other.log_det, one.log_det, 1e-11);
    }
  });
}

TEST(SpectralMap, StaysInTheGroup) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto image = forward(random_group<n>(k)).loop;
      ASSERT_LT(distance(times_adjoint(image, image), unit<n>()), 5e-15);
      ASSERT_LT(norm(determinant(image) - Complex<double>{1, 0}), 1e-28);
    }
  });
}

TEST(SpectralMap, MovesTheCoordinatesAsItWasTold) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto image = forward(random_group<n>(k));
      const auto found = box_of(decompose(image.loop));
      for (int i = 0; i < n - 1; ++i) ASSERT_NEAR(found.at[i], image.to.box.at[i], 1e-13);
    }
  });
}

TEST(SpectralMap, ItsInverseTakesItBack) {
  for_both([](auto n) {
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto l = random_group<n>(k);
      const auto there = forward(l), back = inverse(there.loop);
      ASSERT_LT(distance(back.loop, l), 2e-14);
      ASSERT_NEAR(back.log_det, -there.log_det, 1e-11);
    }
  });
}

TEST(SpectralMap, LogDetIsThatOfTheWholeJacobian) {
  for_both([](auto n) {
    int seen = 0;
    for (std::uint64_t k = 0; k < 60; ++k) {
      const auto l = random_group<n>(k);
      if (!is_inside(l)) continue;
      ++seen;
      ASSERT_NEAR(forward(l).log_det, numerical_log_det(l, 2e-3), 2e-10);
    }
    EXPECT_GT(seen, 20);
  });
}

TEST(SpectralMap, LogDetIsThatOfTheWholeJacobianNearDegeneracyToo) {
  for_both([](auto n) {
    for (const auto& gaps : gaps_near_edges<n>(1e-6)) {
      const auto l = with_spectrum<n>(random_group<n>(2), gaps);
      ASSERT_NEAR(forward(l).log_det, numerical_log_det(l, 2e-8), 2e-6);
    }
  });
}

// From gap to -gap, where the two eigenvectors have changed places.
TEST(SpectralMap, IsContinuousWhereEigenvaluesMeet) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto v = random_group<N>(3);
    auto swapped = v;
    for (auto& row : swapped.at) std::swap(row[0], row[1]);
    const auto gaps_at = [](double gap) {
      if constexpr (N == 2) {
        return std::array<double, 2>{gap, 1 - gap};
      } else {
        return std::array<double, 3>{gap, 0.3 - gap / 2, 0.7 - gap / 2};
      }
    };
    const auto meeting = forward(with_spectrum<N>(v, gaps_at(0)));
    for (const double gap : {1e-3, 1e-6, 1e-9, 1e-12, 1e-14}) {
      const auto one = forward(with_spectrum<N>(v, gaps_at(gap)));
      const auto other = forward(with_spectrum<N>(swapped, gaps_at(gap)));
      const double far = 20 * gap + 2e-11;
      EXPECT_LT(distance(one.loop, meeting.loop), far);
      EXPECT_LT(distance(other.loop, meeting.loop), far);
      EXPECT_NEAR(one.log_det, meeting.log_det, far);
      EXPECT_NEAR(other.log_det, meeting.log_det, far);
    }
  });
}

TEST(SpectralMap, IsFiniteOnTheWholeCentre) {
  for_both([](auto n) {
    for (const auto& gaps : gaps_near_edges<n>(0)) {
      const auto at = forward(with_spectrum<n>(random_group<n>(4), gaps));
      EXPECT_TRUE(std::isfinite(at.log_det));
      const auto slopes = pulled_back(at, algebra_part(random_matrix<n>(5)), 1.0);
      EXPECT_TRUE(std::isfinite(norm(slopes.link) + norm(slopes.rest)));
    }
  });
}

// A coordinate that a map has pushed into an end, where its own rounding is all that is left.
TEST(SpectralMap, ImagesAtTheEndsOfTheBoxGiveFiniteNumbers) {
  const auto l = random_group<3>(6);
  const auto from = cell_of(box_of(decompose(l)));
  for (const double u : {0.0, 1.0}) {
    for (const double v : {0.0, 1.0}) {
      const auto to = cell_of(Box<3, double>{{u, v}});
      EXPECT_TRUE(std::isfinite(log_det_of_cells(from, to)));
      EXPECT_TRUE(std::isfinite(log_det_of_cells(to, from)));
    }
  }
}

// What a coupling layer has: links U and a frozen rest W, the loss a function of U' = L' W^dagger and of log_det.
template <int N>
struct Layer {
  Group<N> u, w, euclidean;
  double log_det_slope;

  double loss(const Group<N>& link, const Group<N>& rest) const {
    const auto image = forward(link * rest);
    return dot(euclidean, times_adjoint(image.loop, rest)) + log_det_slope * image.log_det;
  }
  LoopSlopes<N, double> slopes() const {
    const auto image = forward(u * w);
    return pulled_back(image, algebra_part(times_adjoint(euclidean, times_adjoint(image.loop, w))), log_det_slope);
  }
  // The largest difference to the slopes along all directions, relative to the largest slope.
  double error(double step) const {
    const auto found = slopes();
    double largest = 0, error = 0;
    for (const auto& direction : algebra_basis<N>()) {
      const auto moved = [&](double x) { return exponential(scaled(direction, x)); };
      const double by_link = slope_of([&](double x) { return loss(moved(x) * u, w); }, step);
      const double by_rest = slope_of([&](double x) { return loss(u, w * moved(x)); }, step);
      largest = std::max({largest, std::abs(by_link), std::abs(by_rest)});
      error = std::max(
          {error, std::abs(by_link - dot(found.link, direction)), std::abs(by_rest - dot(found.rest, direction))});
    }
    return error / largest;
  }
};

template <int N>
Layer<N> layer_with_loop(const Group<N>& l, std::uint64_t number, double log_det_slope) {
  const auto w = random_group<N>(number + 5000);
  return {times_adjoint(l, w), w, random_matrix<N>(number), log_det_slope};
}

TEST(SpectralSlopes, AreThoseOfDifferences) {
  for_both([](auto n) {
    int seen = 0;
    for (std::uint64_t k = 0; k < 60; ++k) {
      const auto l = random_group<n>(k);
      if (!is_inside(l)) continue;
      ++seen;
      ASSERT_LT(layer_with_loop<n>(l, k, 0.7).error(2e-3), 1e-8);
    }
    EXPECT_GT(seen, 20);
  });
}

TEST(SpectralSlopes, AreThoseOfDifferencesNearEveryEdge) {
  for_both([](auto n) {
    for (const auto& gaps : gaps_near_edges<n>(1e-3)) {
      ASSERT_LT(layer_with_loop<n>(with_spectrum<n>(random_group<n>(7), gaps), 7, 0.7).error(5e-5), 1e-6);
    }
  });
}

// Without the slope by log_det, of which near the edges u = 1 and v = 1 too few digits are left for differences.
TEST(SpectralSlopes, AreThoseOfDifferencesWhereEigenvaluesAreNearlyEqual) {
  for_both([](auto n) {
    for (const auto& gaps : gaps_near_edges<n>(1e-6)) {
      ASSERT_LT(layer_with_loop<n>(with_spectrum<n>(random_group<n>(8), gaps), 8, 0.0).error(1e-7), 1e-6);
    }
  });
}

TEST(SpectralSlopes, OfLogDetAreThoseOfDifferencesWhereTheFirstGapsAreSmall) {
  for (const std::array<double, 3> gaps : {std::array{1e-6, 0.3, 0.699999}, {0.3, 1e-6, 0.699999}}) {
    ASSERT_LT(layer_with_loop<3>(with_spectrum<3>(random_group<3>(9), gaps), 9, 0.7).error(1e-7), 1e-6);
  }
  ASSERT_LT(layer_with_loop<2>(with_spectrum<2>(random_group<2>(9), {1e-6, 1 - 1e-6}), 9, 0.7).error(1e-7), 1e-6);
}

// The slope of log q(L) - log_det by L', q an arbitrary density with slope D: the inverse map's pull-back.
TEST(SpectralSlopes, OfADensityGoThroughTheInverseMap) {
  for_both([](auto n) {
    constexpr int N = n;
    int seen = 0;
    for (std::uint64_t k = 0; k < 30; ++k) {
      const auto l = random_group<N>(k);
      if (!is_inside(l)) continue;
      ++seen;
      const auto euclidean = random_matrix<N>(k);
      const auto image = forward(l);
      const auto density = [&](const Group<N>& at) {
        const auto back = inverse(at);
        return dot(euclidean, back.loop) + back.log_det;
      };
      const auto [frame, by_box] =
          recompose_pull_back(image.vectors, image.from, algebra_part(times_adjoint(euclidean, l)), 1.0);
      // Through u(u'), v(v', u') and the logs of their slopes.
      const double u = image.from.box.at[0], slope_u = bent_slope(u, kBend);
      Box<N, double> by_image = by_box;
      double by_u = by_box.at[0] + 2 * kBend / slope_u;
      if constexpr (N == 3) {
        const double v = image.from.box.at[1], a = bend(u), slope_v = bent_slope(v, a);
        const double by_v = by_box.at[1] + 2 * a / slope_v;
        by_image.at[1] = by_v / slope_v;
        by_u -= kBendSlope * ((1 - 2 * v) / slope_v + by_image.at[1] * v * (1 - v));
      }
      by_image.at[0] = by_u / slope_u;
      const auto slope = decompose_pull_back(image.vectors, image.to, image.from, frame, by_image, 1.0).link;
      for (const auto& direction : algebra_basis<N>()) {
        const double found =
            slope_of([&](double x) { return density(exponential(scaled(direction, x)) * image.loop); }, 2e-3);
        ASSERT_NEAR(dot(slope, direction), found, 1e-7 * (1 + std::abs(found)));
      }
    }
    EXPECT_GT(seen, 10);
  });
}

}  // namespace
}  // namespace flowloom
