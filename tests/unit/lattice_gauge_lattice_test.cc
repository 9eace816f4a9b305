#include "lattice/gauge_lattice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support.h"

namespace flowloom {
namespace {

TEST(GaugeLattice, ForwardAndBackwardAreTheGeometrysNeighbours) {
  const GaugeLattice lattice(Geometry({2, 3, 4}));
  EXPECT_EQ(lattice.links(), 72u);
  EXPECT_EQ(lattice.plaquettes(), 72u);
  for (std::size_t mu = 0; mu < 3; ++mu) {
    for (std::size_t x = 0; x < lattice.sites(); ++x) {
      auto coordinates = lattice.geometry().coordinates(x);
      ++coordinates[mu];
      EXPECT_EQ(lattice.forward(mu, x), lattice.geometry().site(coordinates));
      coordinates[mu] -= 2;
      EXPECT_EQ(lattice.backward(mu, x), lattice.geometry().site(coordinates));
    }
  }
}

TEST(GaugeLattice, AllPlanesAreOnUnlessSomeAreNamed) {
  EXPECT_EQ(GaugeLattice(Geometry({2, 2, 2, 2})).planes().size(), 6u);
  const GaugeLattice two(Geometry({2, 2, 2, 2}), {{0, 1}, {2, 3}});
  EXPECT_EQ(two.plaquettes(), 32u);
  EXPECT_EQ(two.partners(0), std::vector<std::size_t>{1});
  EXPECT_EQ(two.partners(3), std::vector<std::size_t>{2});
  EXPECT_EQ(GaugeLattice(Geometry({2, 2, 2})).partners(1), (std::vector<std::size_t>{0, 2}));
}

TEST(GaugeLattice, TheCheckerboardHasEverySiteOnceEvenOnesFirst) {
  const GaugeLattice lattice(Geometry({4, 3}));
  auto sites = lattice.checkerboard();
  EXPECT_TRUE(std::is_sorted(sites.begin(), sites.end(), [&](std::size_t x, std::size_t y) {
    return lattice.geometry().parity(x) < lattice.geometry().parity(y);
  }));
  std::sort(sites.begin(), sites.end());
  std::vector<std::size_t> all(12);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sites, all);
}

TEST(GaugeLattice, RefusesWhatHasNoPlaquettes) {
  const auto refusal = [](std::vector<std::int64_t> extents, std::vector<Plane> planes = {}) {
    return sentence_of(
        [&] { planes.empty() ? GaugeLattice(Geometry(extents)) : GaugeLattice(Geometry(extents), planes); });
  };
  EXPECT_EQ(refusal({4}), "A gauge theory needs a lattice of 2 to 4 dimensions, not 1.");
  EXPECT_EQ(refusal({2, 2, 2, 2, 2}), "A gauge theory needs a lattice of 2 to 4 dimensions, not 5.");
  EXPECT_EQ(refusal({4, 1}),
            "A gauge theory needs extents of at least 2 sites: on an extent of 1 a link meets itself in a plaquette.");
  EXPECT_EQ(refusal({4, 4}, {{1, 0}}), "(1, 0) is no plane of this lattice: take mu < nu < dimensions.");
  EXPECT_EQ(refusal({4, 4}, {{0, 2}}), "(0, 2) is no plane of this lattice: take mu < nu < dimensions.");
  EXPECT_EQ(refusal({4, 4}, {{0, 1}, {0, 1}}), "The plane (0, 1) is listed twice; list it once.");
  EXPECT_EQ(refusal({4, 3}, {{0, 1}}), "");
}

}  // namespace
}  // namespace flowloom
