#include "flow/spline.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cmath>

#include "flow_transform_cases.h"

namespace flowloom {
namespace {

struct SplineCase {
  SplineShape shape;
  std::vector<double> raw;
};

void showValue(const SplineCase& c, std::ostream& out) {
  out << (c.shape.circular ? "circle" : "interval") << " with " << c.shape.bins << " bins, raw";
  for (const double x : c.raw) out << ' ' << x;
}

// Up to 32 bins of either kind with raw parameters up to `largest`.
rc::Gen<SplineCase> spline_cases(double largest) {
  return rc::gen::exec([=] {
    const SplineShape shape{*rc::gen::inRange<std::size_t>(1, kMaxSplineBins + 1), *rc::gen::arbitrary<bool>()};
    return SplineCase{shape,
                      *rc::gen::container<std::vector<double>>(shape.parameters(), reals_between(-largest, largest))};
  });
}

Spline<double> spline_of(const SplineCase& c) {
  return Spline<double>(c.shape, [&](std::size_t i) { return c.raw[i]; });
}

// The formulas as printed (arXiv:1906.04032) in a wider type.
struct PrintedSpline {
  std::vector<Wide> x{0}, y{0}, delta;

  template <class Real>
  PrintedSpline(const SplineShape& shape, const std::vector<Real>& raw) {
    const Wide eps = kSplineFloor, length = shape.length();
    const auto bins = static_cast<std::ptrdiff_t>(shape.bins);
    for (auto* knots : {&x, &y}) {
      const auto first = raw.begin() + (knots == &x ? 0 : bins);
      Wide sum = 0;
      for (auto logit = first; logit != first + bins; ++logit) sum += std::exp(static_cast<Wide>(*logit));
      for (auto logit = first; logit != first + bins; ++logit) {
        const Wide share = std::exp(static_cast<Wide>(*logit)) / sum;
        knots->push_back(knots->back() + length * (eps + (1 - static_cast<Wide>(bins) * eps) * share));
      }
    }
    const Wide most = kMostLogDerivative;
    for (std::size_t k = 2 * shape.bins; k < raw.size(); ++k) {
      delta.push_back(std::exp(std::clamp(static_cast<Wide>(raw[k]), -most, most)));
    }
    if (shape.circular) delta.push_back(delta[0]);
  }

  std::size_t bin_of(Wide at) const {
    std::size_t k = 0;
    while (k + 2 < x.size() && at >= x[k + 1]) ++k;
    return k;
  }

  // From the lower end of its bin, which is small where the slope is: its differences lose nothing by rounding.
  Wide above_knot(Wide at) const { return (*this)(at, 0).value; }

  Transformed<Wide> operator()(Wide at) const { return (*this)(at, y[bin_of(at)]); }

 private:
  Transformed<Wide> operator()(Wide at, Wide lower_end) const {
    const std::size_t k = bin_of(at);
    const Wide w = x[k + 1] - x[k], h = y[k + 1] - y[k], s = h / w, xi = (at - x[k]) / w;
    const Wide d = s + (delta[k + 1] + delta[k] - 2 * s) * xi * (1 - xi);
    const Wide slope =
        s * s * (delta[k + 1] * xi * xi + 2 * s * xi * (1 - xi) + delta[k] * (1 - xi) * (1 - xi)) / (d * d);
    return {lower_end + h * (s * xi * xi + delta[k] * xi * (1 - xi)) / d, std::log(slope)};
  }
};

RC_GTEST_PROP(Spline, IsTheFormulaAsPrinted, ()) {
  const SplineCase c = *spline_cases(50);
  const auto spline = spline_of(c);
  const PrintedSpline printed(c.shape, c.raw);
  const double x = c.shape.length() * *reals_between(0, 1);
  const auto [y, log_slope] = spline_forward(spline, x);
  const auto [exact_y, exact_log_slope] = printed(x);
  // A knot is rounded by 1e-15: as far is the place off, in bins of a width of 1e-3 and slopes between 1e-3 and 1e3.
  RC_ASSERT(std::abs(y - static_cast<double>(exact_y)) < 1e-13 * (1 + std::exp(log_slope)));
  RC_ASSERT(std::abs(log_slope - static_cast<double>(exact_log_slope)) < 1e-6);
}

RC_GTEST_PROP(Spline, OfModerateParametersIsTheFormulaAsPrintedToRounding, ()) {
  const SplineCase c = *spline_cases(1);
  const double x = c.shape.length() * *reals_between(0, 1);
  const auto [y, log_slope] = spline_forward(spline_of(c), x);
  const auto [exact_y, exact_log_slope] = PrintedSpline(c.shape, c.raw)(x);
  RC_ASSERT(std::abs(y - static_cast<double>(exact_y)) < 1e-13);
  RC_ASSERT(std::abs(log_slope - static_cast<double>(exact_log_slope)) < 1e-11);
}

RC_GTEST_PROP(Spline, InverseTakesBack, ()) {
  const SplineCase c = *spline_cases(2);
  const auto spline = spline_of(c);
  const double x = c.shape.length() * *reals_between(0, 1);
  const auto there = spline_forward(spline, x);
  const auto back = spline_inverse(spline, there.value);
  RC_ASSERT(std::abs(back.value - x) < 1e-12);
  RC_ASSERT(std::abs(back.log_slope - there.log_slope) < 1e-10);
}

// The spacing of the numbers y is a spacing / slope of x.
RC_GTEST_PROP(Spline, InverseTakesBackWithExtremeParametersAsFarAsRoundingLetsIt, ()) {
  const SplineCase c = *spline_cases(50);
  const auto spline = spline_of(c);
  const double x = c.shape.length() * *reals_between(0, 1);
  const auto there = spline_forward(spline, x);
  const auto back = spline_inverse(spline, there.value);
  RC_ASSERT(std::abs(back.value - x) < 1e-14 * (1 + std::exp(-there.log_slope)));
  const auto again = spline_forward(spline, back.value);
  RC_ASSERT(std::abs(again.value - there.value) < 1e-14 * (1 + std::exp(there.log_slope)));
}

// Near the end of a bin that rises by 1e-3 the roots as printed cancel, and x would be off by 4e-12.
TEST(Spline, InverseAtTheSteepEndOfAFlatBinIsExact) {
  const Spline<double> spline({2, false}, [](std::size_t i) { return std::array{9., 0., 0., 9., 0., 50., 50.}[i]; });
  for (int i = 1; i < 1000; ++i) {
    const double x = 0.998 * (1 - 1e-6 * i);
    EXPECT_NEAR(spline_inverse(spline, spline_forward(spline, x).value).value, x, 1e-15) << i;
  }
}

RC_GTEST_PROP(Spline, Rises, ()) {
  const SplineCase c = *spline_cases(50);
  const auto spline = spline_of(c);
  const double length = c.shape.length();
  double before = -1;
  for (int i = 0; i <= 1000; ++i) {
    const double y = spline_forward(spline, length * i / 1000.).value;
    RC_ASSERT(before < y + 1e-15 * length);
    before = y;
  }
}

RC_GTEST_PROP(Spline, TakesEndsToEnds, ()) {
  const SplineCase c = *spline_cases(50);
  const auto spline = spline_of(c);
  const double length = c.shape.length();
  RC_ASSERT(spline_forward(spline, 0.0).value == 0);
  RC_ASSERT(spline_forward(spline, length).value == length);
  RC_ASSERT(spline_inverse(spline, 0.0).value == 0);
  RC_ASSERT(spline_inverse(spline, length).value == length);
  // What is beyond an end by rounding is at it.
  RC_ASSERT(spline_forward(spline, -1e-15).value == 0);
  RC_ASSERT(spline_forward(spline, std::nextafter(length, 7)).value == length);
  RC_ASSERT(spline_inverse(spline, -1e-15).value == 0);
  RC_ASSERT(spline_inverse(spline, std::nextafter(length, 7)).value == length);
}

RC_GTEST_PROP(Spline, EndsHaveTheirDerivatives, ()) {
  const SplineCase c = *spline_cases(50);
  const auto spline = spline_of(c);
  const PrintedSpline printed(c.shape, c.raw);
  const double first = spline_forward(spline, 0.0).log_slope, last = spline_forward(spline, c.shape.length()).log_slope;
  RC_ASSERT(std::abs(first - static_cast<double>(std::log(printed.delta.front()))) < 1e-12);
  RC_ASSERT(std::abs(last - static_cast<double>(std::log(printed.delta.back()))) < 1e-12);
  if (c.shape.circular) RC_ASSERT(std::abs(first - last) < 1e-12);
}

// Across every knot, and on the circle across 0, value and slope are continuous.
RC_GTEST_PROP(Spline, IsContinuouslyDifferentiable, ()) {
  const SplineCase c = *spline_cases(2);
  const auto spline = spline_of(c);
  const PrintedSpline printed(c.shape, c.raw);
  const double length = c.shape.length(), step = 1e-10;
  for (std::size_t k = c.shape.circular ? 0 : 1; k < c.shape.bins; ++k) {
    const auto knot = static_cast<double>(printed.x[k]);
    const auto below = spline_forward(spline, k == 0 ? length - step : knot - step);
    const auto above = spline_forward(spline, knot + step);
    const double gap = above.value - (k == 0 ? below.value - length : below.value);
    RC_ASSERT(std::abs(gap - 2 * step * std::exp(above.log_slope)) < 1e-3 * gap);
    RC_ASSERT(std::abs(above.log_slope - below.log_slope) < 1e-3);
  }
}

TEST(Spline, OfZerosIsTheIdentity) {
  for (const bool circular : {false, true}) {
    for (std::size_t bins = 1; bins <= kMaxSplineBins; ++bins) {
      const SplineShape shape{bins, circular};
      const auto spline = Spline<double>(shape, [](std::size_t) { return 0.0; });
      for (int i = 0; i <= 100; ++i) {
        const double x = shape.length() * i / 100;
        for (const auto& there : {spline_forward(spline, x), spline_inverse(spline, x)}) {
          EXPECT_NEAR(there.value, x, 2e-15 * shape.length());
          EXPECT_NEAR(there.log_slope, 0, 2e-15);
        }
      }
    }
  }
}

// Whether differences around it stay in its bin: in the next one the second derivative is another.
bool is_between_knots(const SplineCase& c, double x) {
  for (const Wide knot : PrintedSpline(c.shape, c.raw).x) {
    if (std::abs(x - static_cast<double>(knot)) < 1e-6) return false;
  }
  return true;
}

RC_GTEST_PROP(Spline, LogSlopeIsThatOfTheFunction, ()) {
  const SplineCase c = *spline_cases(3);
  const double x = c.shape.length() * *reals_between(0, 1);
  RC_PRE(is_between_knots(c, x));
  const PrintedSpline printed(c.shape, c.raw);
  const double slope = difference([&](Wide at) { return printed.above_knot(at); }, x);
  RC_ASSERT(std::abs(spline_forward(spline_of(c), x).log_slope - std::log(slope)) < 1e-6);
}

// A loss of both outputs, of_value y + of_log_slope log y'.
RC_GTEST_PROP(Spline, PullBackIsTheGradient, ()) {
  const SplineCase c = *spline_cases(3);
  const double x = c.shape.length() * *reals_between(0, 1), of_value = *reals_between(-2, 2),
               of_log_slope = *reals_between(-2, 2);
  RC_PRE(is_between_knots(c, x));
  const auto loss = [&](const std::vector<Wide>& raw, Wide at) {
    const auto [y, log_slope] = PrintedSpline(c.shape, raw)(at);
    return of_value * y + of_log_slope * log_slope;
  };
  const std::vector<Wide> raw(c.raw.begin(), c.raw.end());
  std::vector<double> slopes(raw.size(), NAN);
  const double of_x = spline_pull_back(spline_of(c), x, of_value, of_log_slope, put_into(slopes));
  const double exact_of_x = difference([&](Wide at) { return loss(raw, at); }, x);
  RC_ASSERT(std::abs(of_x - exact_of_x) < 1e-6 * (1 + std::abs(exact_of_x)));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    auto moved = raw;
    const double exact = difference([&](Wide value) { return moved[i] = value, loss(moved, x); }, c.raw[i]);
    RC_ASSERT(std::abs(slopes[i] - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

RC_GTEST_PROP(Spline, DensitySlopesAreThoseOfTheInverse, ()) {
  const SplineCase c = *spline_cases(2);
  const double x = c.shape.length() * *reals_between(0, 1), d = *reals_between(-2, 2);
  RC_PRE(is_between_knots(c, x));
  // log q(x) = d (x - x0): then -log q(y) = -d x(y) + log f'(x(y)), with x(y) by Newton's iteration.
  const auto minus_log_q = [&](const std::vector<Wide>& raw, Wide y) {
    const PrintedSpline printed(c.shape, raw);
    Wide from = x;
    for (int i = 0; i < 3; ++i) {
      const auto [value, log_slope] = printed(from);
      from -= (value - y) * std::exp(-log_slope);
    }
    return -d * from + printed(from).log_slope;
  };
  const std::vector<Wide> raw(c.raw.begin(), c.raw.end());
  const Wide y = PrintedSpline(c.shape, raw)(x).value;
  std::vector<double> slopes(c.raw.size(), NAN);
  const double of_y = spline_density_slopes(spline_of(c), x, d, put_into(slopes));
  const double exact_of_y = -difference([&](Wide at) { return minus_log_q(raw, y + at); }, 0);
  RC_ASSERT(std::abs(of_y - exact_of_y) < 1e-6 * (1 + std::abs(exact_of_y)));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    auto moved = raw;
    const double exact = difference([&](Wide value) { return moved[i] = value, minus_log_q(moved, y); }, c.raw[i]);
    RC_ASSERT(std::abs(slopes[i] - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

// Ends, knots and beyond, with parameters of any size.
RC_GTEST_PROP(Spline, NothingIsNotANumber, ()) {
  SplineCase c = *spline_cases(50);
  for (double& raw : c.raw) raw *= *rc::gen::element(1.0, 0.0, 100.0);
  const auto spline = spline_of(c);
  const double length = c.shape.length();
  std::vector<double> points{0, length, -1e-15, std::nextafter(length, 7), 1e-300, length * *reals_between(0, 1)};
  const PrintedSpline printed(c.shape, c.raw);
  for (const auto* knots : {&printed.x, &printed.y}) points.insert(points.end(), knots->begin(), knots->end());
  for (const double x : points) {
    std::vector<double> found(c.raw.size(), NAN);
    found.push_back(spline_pull_back(spline, x, 1.0, -1.0, put_into(found)));
    found.push_back(spline_density_slopes(spline, x, 1.0, put_into(found)));
    for (const auto& image : {spline_forward(spline, x), spline_inverse(spline, x)}) {
      found.insert(found.end(), {image.value, image.log_slope});
      RC_ASSERT(0 <= image.value);
      RC_ASSERT(image.value <= length);
    }
    for (const double number : found) RC_ASSERT(std::isfinite(number));
  }
}

TEST(Spline, OfNotANumberIsNotANumber) {
  const SplineShape shape{4, true};
  const auto spline = Spline<double>(shape, [](std::size_t i) { return 0.1 * static_cast<double>(i); });
  EXPECT_TRUE(std::isnan(spline_forward(spline, std::nan("")).value));
  EXPECT_TRUE(std::isnan(spline_inverse(spline, std::nan("")).value));
  const auto broken = Spline<double>(shape, [](std::size_t i) { return i == 2 ? std::nan("") : 0.0; });
  EXPECT_TRUE(std::isnan(spline_forward(broken, 1.0).value));
}

}  // namespace
}  // namespace flowloom
