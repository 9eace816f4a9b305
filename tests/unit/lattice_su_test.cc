#include "lattice/su.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "su_cases.h"

namespace flowloom {
namespace {

template <int N>
AnyTheory theory_on(const std::vector<std::int64_t>& lattice, double beta) {
  return su_theory(N, lattice, beta);
}

// Two to four dimensions, extents of 2 among them, where a link's neighbours on either side are one.
const std::vector<std::vector<std::int64_t>> kManyDimensions{{8, 4}, {4, 4, 4}, {2, 3, 4}, {2, 4, 3, 2}};

TEST(SuGauge, TheActionIsTheDirectSumOverAllPlanes) {
  for_both([](auto n) {
    constexpr int N = n;
    for (const auto& lattice : kManyDimensions) {
      const AnyTheory theory = theory_on<N>(lattice, 1.7);
      const Geometry& geometry = theory_geometry(theory);
      const auto field = random_su_field<N>(geometry, 1);
      double sum = 0, plaquettes = 0;
      for (std::size_t site = 0; site < geometry.sites(); ++site) {
        const std::vector<std::int64_t> x = geometry.coordinates(site);
        const auto link = [&](std::size_t mu, std::optional<std::size_t> towards = {}) {
          std::vector<std::int64_t> place = x;
          if (towards) ++place[*towards];
          return link_of<N>(geometry, field, mu, geometry.site(place));
        };
        for (std::size_t mu = 0; mu < lattice.size(); ++mu) {
          for (std::size_t nu = mu + 1; nu < lattice.size(); ++nu, ++plaquettes) {
            sum += real_trace(link(mu) * link(nu, mu) * adjoint(link(mu, nu)) * adjoint(link(nu))) / N;
          }
        }
      }
      EXPECT_NEAR(-theory_log_p(theory, theory_sums_of(theory, field)), -1.7 * sum, 1e-11);
      EXPECT_NEAR(observables_of(theory, field).at("plaquette"), sum / plaquettes, 1e-13);
    }
  });
}

// Along each direction of su(N) at each link, in more than two dimensions at every fifth: dS = Re tr(F^dagger dU
// U^dagger).
TEST(SuGauge, TheForceIsTheActionsSlope) {
  for_both([](auto n) {
    constexpr int N = n;
    for (const std::vector<std::int64_t>& lattice : {std::vector<std::int64_t>{4, 4}, {2, 3, 3}, {2, 2, 3, 2}}) {
      const AnyTheory theory = theory_on<N>(lattice, 2.3);
      const Geometry& geometry = theory_geometry(theory);
      auto field = random_su_field<N>(geometry, 2);
      const auto force = theory_force(theory, field);
      const std::size_t stride = lattice.size() == 2 ? 1 : 5;
      double square = 0;
      for (std::size_t k = 0; k < geometry.dimensions() * geometry.sites(); k += stride) {
        const std::size_t mu = k / geometry.sites(), x = k % geometry.sites();
        const Group<N> own = link_of<N>(geometry, field, mu, x), f = link_of<N>(geometry, force, mu, x);
        EXPECT_LT(distance(f, algebra_part(f)), 1e-14);
        for (const Group<N>& direction : algebra_basis<N>()) {
          const double slope = slope_of(
              [&](double t) {
                put_link<N>(geometry, field, mu, x, exponential(scaled(direction, t)) * own);
                return -theory_log_p(theory, theory_sums_of(theory, field));
              },
              1e-2);
          EXPECT_NEAR(dot(f, direction), slope, 1e-10) << lattice.size() << " dimensions";
          square += slope * slope;
        }
        put_link<N>(geometry, field, mu, x, own);
      }
      EXPECT_GT(square, 1);
    }
  });
}

TEST(SuGauge, NothingThatIsMeasuredDependsOnTheGauge) {
  for_both([](auto n) {
    constexpr int N = n;
    for (const auto& lattice : kManyDimensions) {
      const AnyTheory theory = theory_on<N>(lattice, 1.0);
      const auto field = random_su_field<N>(theory_geometry(theory), 3);
      const auto before = observables_of(theory, field);
      const auto after = observables_of(theory, su_gauge_transformed<N>(theory_geometry(theory), field, 4));
      for (const auto& [name, value] : before) EXPECT_NEAR(after.at(name), value, 1e-11) << name;
    }
  });
}

// Links of the diagonal subgroup, where loops are phases: U_1(x) = diag(e^(i w x_0), e^(-i w x_0), 1), the rest 1.
TEST(SuGauge, WilsonLoopsOfAConstantFieldAreThoseOfTheirAreas) {
  for_both([](auto n) {
    constexpr int N = n;
    const AnyTheory theory = theory_on<N>({8, 4}, 1.0);
    const Geometry& geometry = theory_geometry(theory);
    const double unit = 2 * std::numbers::pi / 8;
    const auto field = su_field<N>(geometry, [&](std::size_t mu, std::size_t x) {
      Group<N> link = flowloom::unit<N>();
      const double angle = mu == 1 ? unit * static_cast<double>(geometry.coordinates(x)[0]) : 0;
      link.at[0][0] = {std::cos(angle), std::sin(angle)};
      link.at[1][1] = conj(link.at[0][0]);
      return link;
    });
    const auto values = observables_of(theory, field);
    const auto loop = [&](double area) { return (2 * std::cos(area * unit) + (N - 2)) / N; };
    EXPECT_NEAR(values.at("plaquette"), loop(1), 1e-13);
    EXPECT_NEAR(values.at("wilson_1x2"), loop(2), 1e-13);
    EXPECT_NEAR(values.at("wilson_2x2"), loop(4), 1e-13);
    EXPECT_NEAR(values.at("wilson_3x3"), loop(9), 1e-13);
  });
}

TEST(SuGauge, ThePolyakovLoopIsTheTraceAroundTime) {
  for_both([](auto n) {
    constexpr int N = n;
    const AnyTheory theory = theory_on<N>({4, 8}, 1.0);
    const Geometry& geometry = theory_geometry(theory);
    const Group<N> link = with_spectrum<N>(random_group<N>(7), gaps_near_edges<N>(0.2)[0]);
    const auto field =
        su_field<N>(geometry, [&](std::size_t mu, std::size_t) { return mu == 1 ? link : random_group<N>(8); });
    Group<N> line = link;
    for (int t = 1; t < 8; ++t) line = line * link;
    const auto values = observables_of(theory, field);
    EXPECT_NEAR(values.at("polyakov"), trace(line).re / N, 1e-13);
    EXPECT_NEAR(values.at("abs_polyakov"), std::hypot(trace(line).re, trace(line).im) / N, 1e-13);
  });
}

}  // namespace
}  // namespace flowloom
