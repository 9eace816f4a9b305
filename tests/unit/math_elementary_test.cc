// Accuracy over the whole range, against a wider type; the edges; and that the bounds stated in math/elementary.inl are
// those.
#include "math/elementary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

namespace flowloom {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// |value - exact| in units of the last place of a Real at `exact`.
template <class Real>
double ulps(Real value, long double exact) {
  if (std::isnan(exact)) return std::isnan(value) ? 0 : kInf;
  if (static_cast<long double>(value) == exact) return 0;
  const auto rounded = static_cast<Real>(exact);
  if (std::isinf(rounded)) return std::isinf(value) && std::signbit(value) == std::signbit(rounded) ? 0 : kInf;
  int exponent;
  std::frexp(rounded, &exponent);
  exponent = std::max(exponent, std::numeric_limits<Real>::min_exponent);
  const long double ulp = std::ldexp(1.0L, exponent - std::numeric_limits<Real>::digits);
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact) / ulp);
}

// The largest error over `count` encodings at equal distances through all there are: every sign, exponent, and NaNs.
template <class Real, class Function, class Exact>
double worst(Function function, Exact exact, std::uint64_t count = 1 << 21) {
  using Bits = BitsOf<Real>;
  const Bits step = static_cast<Bits>(~Bits{0} / count) | 1;
  double largest = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Real x = from_bits(static_cast<Bits>(i * step));
    largest = std::max(largest, ulps(function(x), exact(static_cast<long double>(x))));
  }
  return largest;
}

// The same over numbers at equal distances in [low, high], where the function does what is interesting.
template <class Real, class Function, class Exact>
double worst_between(double low, double high, Function function, Exact exact, int count = 1 << 21) {
  double largest = 0;
  for (int i = 0; i <= count; ++i) {
    const auto x = static_cast<Real>(low + (high - low) * i / count);
    largest = std::max(largest, ulps(function(x), exact(static_cast<long double>(x))));
  }
  return largest;
}

const auto kExp = [](auto x) { return exp(x); };
const auto kTanh = [](auto x) { return tanh(x); };
const auto kLog = [](auto x) { return log(x); };
const auto kExactExp = [](long double x) { return std::exp(x); };
const auto kExactTanh = [](long double x) { return std::tanh(x); };
const auto kExactLog = [](long double x) { return std::log(x); };

// A mistyped coefficient is seen: the bound is stated, and not far above what is found.
void expect_bound(double found, double stated) {
  EXPECT_LE(found, stated);
  EXPECT_GE(found, 0.8 * stated) << "the bound stated in math/elementary.inl can be lowered";
}

TEST(Elementary, ExpIsWithinItsBound) {
  expect_bound(std::max(worst<float>(kExp, kExactExp), worst_between<float>(-105, 90, kExp, kExactExp)), 1.1);
  expect_bound(std::max(worst<double>(kExp, kExactExp), worst_between<double>(-750, 711, kExp, kExactExp)), 1.1);
}

TEST(Elementary, TanhIsWithinItsBound) {
  expect_bound(std::max(worst<float>(kTanh, kExactTanh), worst_between<float>(-11, 11, kTanh, kExactTanh)), 2.5);
  expect_bound(
      std::max({worst<double>(kTanh, kExactTanh), worst_between<double>(-21, 21, kTanh, kExactTanh),
                worst_between<double>(-1, 1, kTanh, kExactTanh), worst_between<double>(0.2, 0.23, kTanh, kExactTanh)}),
      2.7);
}

// Where its error is largest (of all floats: 2.4188 at 0x1.fd0794p-8).
TEST(Elementary, TanhIsWithinItsBoundForEveryFloatOfTheWorstOctaves) {
  double largest = 0;
  for (std::uint32_t encoding = bits(0x1p-8f); encoding < bits(0x1p-6f); ++encoding) {
    const float x = from_bits(encoding);
    largest = std::max(largest, ulps(tanh(x), static_cast<long double>(std::tanh(static_cast<double>(x)))));
  }
  EXPECT_LE(largest, 2.5);
  EXPECT_GE(largest, 2.4);
}

TEST(Elementary, LogIsWithinItsBound) {
  expect_bound(std::max({worst<double>(kLog, kExactLog), worst_between<double>(0, 4, kLog, kExactLog),
                         worst_between<double>(0.70, 0.72, kLog, kExactLog),
                         worst_between<double>(1.38, 1.45, kLog, kExactLog)}),
               0.9);
}

// The sine of u turns where the nearest quarter is subtracted first, which is exact.
long double exact_sine(long double u) {
  const long double quarter = std::round(4 * u);
  const long double angle = 2 * std::numbers::pi_v<long double> * (u - quarter / 4);
  switch ((static_cast<long>(quarter) % 4 + 4) % 4) {
    case 0:
      return std::sin(angle);
    case 1:
      return std::cos(angle);
    case 2:
      return -std::sin(angle);
    default:
      return -std::cos(angle);
  }
}

TEST(Elementary, TurnIsWithinItsBound) {
  const auto sine = [](double u) { return turn(u).sin; };
  const auto cosine = [](double u) { return turn(u).cos; };
  const auto exact_cosine = [](long double u) { return exact_sine(u + 0.25L); };
  expect_bound(worst_between<double>(-1, 1, sine, exact_sine), 1.9);
  expect_bound(worst_between<double>(-1, 1, cosine, exact_cosine), 1.9);
  for (const double eighth : {0.125, 0.375, 0.625, 0.875}) {  // where the errors are largest
    EXPECT_LE(worst_between<double>(eighth - 0.02, eighth + 0.02, sine, exact_sine), 1.9);
    EXPECT_LE(worst_between<double>(eighth - 0.02, eighth + 0.02, cosine, exact_cosine), 1.9);
  }
  EXPECT_LE(worst_between<double>(-1e-3, 1e-3, sine, exact_sine), 1.9);
  for (const double far : {1e9, 0x1p49})
    EXPECT_LE(worst_between<double>(-far, far * (1 - 0x1p-50), sine, exact_sine), 1.9);
}

// The worst of points with angles around the multiples of pi/16, where the reductions change, and anywhere; and of
// points with any encodings.
double worst_angle(int count) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  double largest = 0;
  const auto look = [&](double y, double x) {
    if (!std::isfinite(y) || !std::isfinite(x)) return;
    largest =
        std::max(largest, ulps(atan2(y, x), std::atan2(static_cast<long double>(y), static_cast<long double>(x))));
  };
  for (int i = 0; i < count; ++i) {
    const double angle = static_cast<double>(i % 32) * std::numbers::pi / 16 + 0.06 * uniform(random);
    const double radius = 1 + uniform(random);
    look(radius * std::sin(angle), radius * std::cos(angle));
    look(uniform(random), uniform(random));
    const double y = from_bits(random()), x = from_bits(random());
    look(y, x);
    look(y, y * uniform(random));
  }
  return largest;
}

TEST(Elementary, Atan2IsWithinItsBound) {
  expect_bound(worst_angle(1 << 19), 2.9);
  // Where the most terms of the series count, and nothing else is rounded.
  const auto of_slope = [](auto slope) { return atan2(slope, decltype(slope)(1)); };
  const auto exact = [](long double slope) { return std::atan(slope); };
  expect_bound(worst_between<double>(0.24, 0.25, of_slope, exact), 0.7);
}

TEST(Elementary, Atan2HasTheSignsOfZeros) {
  const double pi = std::numbers::pi, tiny = std::numeric_limits<double>::denorm_min();
  const double huge = std::numeric_limits<double>::max();
  for (const double x : {0.0, -0.0, 1.0, -1.0, tiny, -tiny, huge, -huge}) {
    for (const double y : {0.0, -0.0, 1.0, -1.0, tiny, -tiny, huge, -huge}) {
      EXPECT_EQ(bits(atan2(y, x)), bits(std::atan2(y, x))) << y << " " << x;
    }
  }
  EXPECT_EQ(atan2(1.0, 0.0), pi / 2);
  EXPECT_EQ(atan2(-0.0, -1.0), -pi);
}

TEST(Elementary, Atan2OfInfinitiesIsNotANumber) {
  for (const double finite : {0.0, 1.0, -kInf, kInf}) {
    EXPECT_EQ(bits(atan2(kInf, finite)), bits(Format<double>::kNaN));
    EXPECT_EQ(bits(atan2(finite, -kInf)), bits(Format<double>::kNaN));
  }
}

template <class Real>
class ElementaryEdges : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(ElementaryEdges, Reals);

TYPED_TEST(ElementaryEdges, AreThoseOfTheFunctions) {
  using Real = TypeParam;
  using Limits = std::numeric_limits<Real>;
  const Real inf = Limits::infinity(), tiny = Limits::denorm_min(), small = Limits::min();
  EXPECT_EQ(bits(exp(Real(0))), bits(Real(1)));
  EXPECT_EQ(bits(exp(Real(-0.0))), bits(Real(1)));
  EXPECT_EQ(exp(tiny), 1);
  EXPECT_EQ(exp(inf), inf);
  EXPECT_EQ(bits(exp(-inf)), bits(Real(0)));
  EXPECT_EQ(exp(Limits::max()), inf);
  EXPECT_EQ(exp(-Limits::max()), 0);
  EXPECT_EQ(exp(std::nextafter(std::log(Limits::max()), inf) + 1), inf);
  EXPECT_LT(exp(std::log(Limits::max()) - 1), inf);
  EXPECT_GT(exp(std::log(tiny) + Real(0.5)), 0);  // a subnormal result
  EXPECT_EQ(exp(std::log(tiny) - Real(1)), 0);

  for (const Real x : {Real(0), tiny, small, 3 * tiny}) {
    EXPECT_EQ(bits(tanh(x)), bits(x));
    EXPECT_EQ(bits(tanh(-x)), bits(-x));
  }
  for (const Real x : {inf, Limits::max(), Real(30)}) {
    EXPECT_EQ(tanh(x), 1);
    EXPECT_EQ(tanh(-x), -1);
  }
}

TEST(Elementary, LogsAndTurnsEdgesAreTheFunctions) {
  using Limits = std::numeric_limits<double>;
  EXPECT_EQ(log(0.0), -kInf);
  EXPECT_EQ(log(-0.0), -kInf);
  EXPECT_EQ(bits(log(1.0)), bits(0.0));
  EXPECT_EQ(log(kInf), kInf);
  EXPECT_TRUE(std::isnan(log(-1.0)));
  EXPECT_TRUE(std::isnan(log(-kInf)));
  EXPECT_LE(ulps(log(Limits::denorm_min()), std::log(static_cast<long double>(Limits::denorm_min()))), 1);
  EXPECT_LE(ulps(log(Limits::max()), std::log(static_cast<long double>(Limits::max()))), 1);

  const double quarters[][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  for (int quarter = -8; quarter <= 8; ++quarter) {
    const auto [cos, sin] = turn(0.25 * quarter);
    EXPECT_EQ(cos, quarters[(quarter + 8) % 4][0]) << quarter;
    EXPECT_EQ(sin, quarters[(quarter + 8) % 4][1]) << quarter;
  }
  EXPECT_EQ(bits(turn(0.0).sin), bits(0.0));
  EXPECT_EQ(bits(turn(-0.0).sin), bits(0.0));  // the one place where a sign is lost
  EXPECT_EQ(turn(Limits::denorm_min()).cos, 1);
  EXPECT_EQ(turn(0x1p48).cos, 1);
  for (const double u : {kInf, -kInf, 0x1p49, Limits::max(), std::nan("")}) {
    EXPECT_EQ(bits(turn(u).cos), bits(Format<double>::kNaN)) << u;
    EXPECT_EQ(bits(turn(u).sin), bits(Format<double>::kNaN)) << u;
  }
}

// Processors differ in the sign of the NaNs that they make.
TEST(Elementary, EveryNaNGivesTheSameOne) {
  for (const std::uint64_t encoding : std::initializer_list<std::uint64_t>{0x7ff8000000000000, 0xfff8000000000000,
                                                                           0x7ff0000000000001, 0xffffffffffffffff}) {
    const double x = from_bits(encoding);
    for (const double y : {exp(x), tanh(x), log(x), canonical(x), atan2(x, 1.0), atan2(1.0, x), atan2(x, x)})
      EXPECT_EQ(bits(y), bits(Format<double>::kNaN));
  }
  for (const std::uint32_t encoding : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu}) {
    const float x = from_bits(encoding);
    for (const float y : {exp(x), tanh(x), canonical(x)}) EXPECT_EQ(bits(y), bits(Format<float>::kNaN));
  }
  EXPECT_EQ(bits(canonical(-0.0)), bits(-0.0));
}

}  // namespace
}  // namespace flowloom
