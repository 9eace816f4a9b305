#include "math/angle.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace flowloom {
namespace {

const auto kAngles = rc::gen::map(rc::gen::inRange<std::int64_t>(-1'000'000'000, 1'000'000'000),
                                  [](std::int64_t i) { return static_cast<double>(i) * 2.3e-8; });

RC_GTEST_PROP(Angle, WrappedIsInItsIntervalAndTheSameAngle, ()) {
  const double theta = *kAngles, wrapped = wrap_angle(theta), positive = positive_angle(theta);
  RC_ASSERT(-kPi <= wrapped);
  RC_ASSERT(wrapped < kPi);
  RC_ASSERT(0 <= positive);
  RC_ASSERT(positive <= kTwoPi);
  RC_ASSERT(theta - kTwoPi * turns_of(theta) == wrapped || std::abs(theta) > 2 * kTwoPi);
  RC_ASSERT(std::abs(std::remainder(theta - wrapped, kTwoPi)) < 1e-14);
  RC_ASSERT(std::abs(std::remainder(theta - positive, kTwoPi)) < 1e-14);
}

RC_GTEST_PROP(Angle, ThatIsInTheIntervalKeepsItsBits, ()) {
  const double theta = kTwoPi * *rc::gen::inRange(0, 1'000'000) * 1e-6;
  RC_ASSERT(bits(positive_angle(theta)) == bits(theta));
  RC_ASSERT(bits(wrap_angle(theta - kPi)) == bits(theta - kPi));
}

TEST(Angle, HalfATurnIsTheLowerEnd) {
  for (int n = -2; n <= 1; ++n) {
    const double odd = (2 * n + 1) * kPi;
    EXPECT_EQ(wrap_angle(odd), -kPi) << n;
    EXPECT_EQ(turns_of(odd), n + 1);
  }
  EXPECT_EQ(wrap_angle(std::nextafter(kPi, 0)), std::nextafter(kPi, 0));
  EXPECT_EQ(turns_of(std::nextafter(kPi, 4)), 1);
  EXPECT_EQ(turns_of(std::nextafter(-kPi, 0)), 0);
  EXPECT_EQ(turns_of(std::nextafter(-kPi, -4)), -1);
}

TEST(Angle, AWholeTurnIsZeroAndJustBelowZeroIsAlmostATurn) {
  EXPECT_EQ(positive_angle(kTwoPi), 0);
  EXPECT_EQ(positive_angle(-1e-300), kTwoPi);
  EXPECT_EQ(positive_angle(-1e-15), kTwoPi - 1e-15);
  EXPECT_EQ(shift_angle(6.0, 1.0), 7 - kTwoPi);
  EXPECT_EQ(shift_angle(1.0, -1.5), kTwoPi - 0.5);
  EXPECT_TRUE(std::isnan(positive_angle(std::nan(""))));
}

}  // namespace
}  // namespace flowloom
