#include "lattice/geometry.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "spec/error.h"

namespace flowloom {
namespace {

Geometry any_geometry() {
  const auto dimensions = *rc::gen::inRange<std::size_t>(1, 5);
  std::vector<std::int64_t> extents;
  for (std::size_t mu = 0; mu < dimensions; ++mu) extents.push_back(*rc::gen::inRange<std::int64_t>(1, 6));
  return Geometry(extents);
}

TEST(Geometry, TheLastDirectionRunsFastest) {
  const Geometry geometry({2, 3, 4});
  EXPECT_EQ(geometry.sites(), 24u);
  EXPECT_EQ(geometry.coordinates(23), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(geometry.site(std::vector<std::int64_t>{1, 0, 2}), 14u);
}

RC_GTEST_PROP(Geometry, CoordinatesAndSitesAreInverse, ()) {
  const Geometry geometry = any_geometry();
  for (std::size_t x = 0; x < geometry.sites(); ++x) RC_ASSERT(geometry.site(geometry.coordinates(x)) == x);
}

RC_GTEST_PROP(Geometry, CoordinatesOutsideAreWrappedAround, ()) {
  const Geometry geometry = any_geometry();
  const auto x = *rc::gen::inRange<std::size_t>(0, geometry.sites());
  auto coordinates = geometry.coordinates(x);
  for (std::size_t mu = 0; mu < coordinates.size(); ++mu) {
    coordinates[mu] += *rc::gen::inRange<std::int64_t>(-3, 4) * geometry.extents()[mu];
  }
  RC_ASSERT(geometry.site(coordinates) == x);
}

RC_GTEST_PROP(Geometry, NeighboursThereAndBackAreTheIdentity, ()) {
  const Geometry geometry = any_geometry();
  std::vector<std::int64_t> there, back;
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    there.push_back(*rc::gen::inRange<std::int64_t>(-7, 8));
    back.push_back(-there.back());
  }
  const auto forward = geometry.neighbours(there);
  const auto backward = geometry.neighbours(back);
  for (std::size_t x = 0; x < geometry.sites(); ++x) {
    RC_ASSERT(backward[static_cast<std::size_t>(forward[x])] == static_cast<std::int64_t>(x));
  }
}

TEST(Geometry, ForwardStepsOneSiteAndWraps) {
  const Geometry geometry({2, 3});
  EXPECT_EQ(geometry.forward(0), (std::vector<std::int64_t>{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(geometry.forward(1), (std::vector<std::int64_t>{1, 2, 0, 4, 5, 3}));
}

RC_GTEST_PROP(Geometry, OnEvenExtentsEveryNeighbourHasTheOtherParity, ()) {
  std::vector<std::int64_t> extents = any_geometry().extents();
  for (auto& extent : extents) extent *= 2;
  const Geometry geometry(extents);
  RC_ASSERT(geometry.all_even());
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    const auto forward = geometry.forward(mu);
    for (std::size_t x = 0; x < geometry.sites(); ++x) {
      RC_ASSERT(geometry.parity(x) != geometry.parity(static_cast<std::size_t>(forward[x])));
    }
  }
}

TEST(Geometry, AnOddExtentIsNotAllEven) {
  EXPECT_FALSE(Geometry({4, 3}).all_even());
  EXPECT_TRUE(Geometry({4, 2}).all_even());
}

TEST(Geometry, ABoxIsCentredAndRowMajor) {
  const auto box = Geometry({4, 4}).box(3);
  ASSERT_EQ(box.size(), 9u);
  EXPECT_EQ(box[0], (std::vector<std::int64_t>{-1, -1}));
  EXPECT_EQ(box[1], (std::vector<std::int64_t>{-1, 0}));
  EXPECT_EQ(box[3], (std::vector<std::int64_t>{0, -1}));
  EXPECT_EQ(box[4], (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(Geometry({4, 4, 4}).box(5).size(), 125u);
  EXPECT_EQ(Geometry({4}).box(1), (std::vector<std::vector<std::int64_t>>{{0}}));
}

TEST(Geometry, RefusesWhatIsNoLattice) {
  EXPECT_THROW(Geometry({}), Error);
  EXPECT_THROW(Geometry({2, 2, 2, 2, 2, 2, 2}), Error);
  EXPECT_THROW(Geometry({4, 0}), Error);
  EXPECT_THROW(Geometry({4, -4}), Error);
  EXPECT_THROW(Geometry({1 << 20, 1 << 20}), Error);
  EXPECT_THROW(Geometry({std::int64_t{1} << 62, 4, 1}), Error);
}

}  // namespace
}  // namespace flowloom
