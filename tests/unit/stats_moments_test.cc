#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "stats/moments.h"
#include "stats/testing/series.h"

namespace flowloom::stats {
namespace {

// Large mean, small variance: the case that naive sums of squares lose.
std::vector<double> offset_series() {
  testing::Noise noise(1);
  std::vector<double> x = testing::normal_series(10'000, noise);
  for (double& v : x) v += 1.0e3;
  return x;
}

TEST(Moments, BatchMeanAndVarianceOfFourNumbers) {
  const std::vector<double> x{1.0, 2.0, 3.0, 6.0};
  EXPECT_DOUBLE_EQ(mean(x), 3.0);
  EXPECT_DOUBLE_EQ(variance(x), 14.0 / 3.0);  // (4 + 1 + 0 + 9) / 3
}

TEST(Moments, StreamingEqualsBatch) {
  const std::vector<double> x = offset_series();
  Moments moments;
  for (const double v : x) moments.add(v);
  EXPECT_EQ(moments.count(), x.size());
  EXPECT_NEAR(moments.mean(), mean(x), 1e-12 * mean(x));
  EXPECT_NEAR(moments.variance(), variance(x), 1e-12 * variance(x));
}

TEST(Moments, MergingPartsEqualsTheWhole) {
  const std::vector<double> x = offset_series();
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{3'000}, x.size()}) {
    Moments head;
    Moments tail;
    for (std::size_t i = 0; i < x.size(); ++i) (i < cut ? head : tail).add(x[i]);
    head.merge(tail);
    EXPECT_EQ(head.count(), x.size());
    EXPECT_NEAR(head.mean(), mean(x), 1e-12 * mean(x)) << "cut at " << cut;
    EXPECT_NEAR(head.variance(), variance(x), 1e-12 * variance(x)) << "cut at " << cut;
  }
}

TEST(Moments, MergingWithItselfDoublesEveryValue) {
  Moments moments;
  for (const double v : {1.0, 2.0, 6.0}) moments.add(v);
  moments.merge(moments);
  EXPECT_EQ(moments.count(), 6u);
  EXPECT_DOUBLE_EQ(moments.mean(), 3.0);
  EXPECT_DOUBLE_EQ(moments.variance(), 2.0 * 14.0 / 5.0);
}

TEST(Moments, ABadValueIsRefusedAndChangesNothing) {
  Moments moments;
  moments.add(2.0);
  EXPECT_THROW(moments.add(std::nan("")), std::invalid_argument);
  EXPECT_THROW(moments.add(std::numeric_limits<double>::infinity()), std::invalid_argument);
  EXPECT_EQ(moments.count(), 1u);
  EXPECT_EQ(moments.mean(), 2.0);
}

TEST(Moments, TooFewValuesAreAnError) {
  Moments moments;
  EXPECT_THROW(moments.mean(), std::invalid_argument);
  moments.add(1.0);
  EXPECT_THROW(moments.variance(), std::invalid_argument);
  EXPECT_THROW(mean({}), std::invalid_argument);
  EXPECT_THROW(variance(std::vector<double>{1.0}), std::invalid_argument);
}

TEST(Moments, BatchRefusesValuesThatAreNotFinite) {
  EXPECT_THROW(mean(std::vector<double>{1.0, std::nan("")}), std::invalid_argument);
  EXPECT_THROW(variance(std::vector<double>{1.0, std::numeric_limits<double>::infinity()}), std::invalid_argument);
}

}  // namespace
}  // namespace flowloom::stats
