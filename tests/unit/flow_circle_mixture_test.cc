#include "flow/circle_mixture.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numbers>

#include "flow_transform_cases.h"

namespace flowloom {
namespace {

using MixtureParameters = std::vector<double>;

// Any number of components with raw parameters up to `largest`; half of the time some of them sit at its ends, where
// the mixture is a staircase.
rc::Gen<MixtureParameters> mixture_parameters(double largest) {
  return rc::gen::exec([=] {
    MixtureParameters raw(*rc::gen::inRange<std::size_t>(1, kMaxMixtureComponents + 1));
    const bool staircase = *rc::gen::arbitrary<bool>();
    for (double& s : raw) {
      s = *reals_between(-largest, largest);
      if (staircase) s = *rc::gen::element(s, -largest, largest, 0.0);
    }
    return raw;
  });
}

CircleMixture<double> mixture_of(const MixtureParameters& raw) {
  return CircleMixture<double>(raw.size(), [&](std::size_t k) { return raw[k]; });
}

// As printed (arXiv:2003.06413), with tan, in a wider type and on [0, kTwoPi].
struct PrintedMixture {
  template <class Real>
  explicit PrintedMixture(const std::vector<Real>& raw) : s(raw.begin(), raw.end()) {}

  Transformed<Wide> operator()(Wide phi) const {
    const Wide pi = std::numbers::pi_v<Wide>;
    Wide sum = 0, slopes = 0;
    for (const Wide s_k : s) {
      const Wide h = 2 * std::atan(std::exp(s_k) * std::tan(phi / 2)), sine = std::sin(phi / 2),
                 cosine = std::cos(phi / 2);
      sum += h + (phi > pi ? 2 * pi : 0);
      slopes += 1 / (std::exp(-s_k) * cosine * cosine + std::exp(s_k) * sine * sine);
    }
    const auto count = static_cast<Wide>(s.size());
    return {sum / count, std::log(slopes / count)};
  }

  std::vector<Wide> s;
};

RC_GTEST_PROP(CircleMixture, IsTheFormulaAsPrinted, ()) {
  const MixtureParameters raw = *mixture_parameters(10);
  const double phi = *reals_between(1e-6, kTwoPi - 1e-6);
  const auto [y, log_slope] = mixture_forward(mixture_of(raw), phi);
  const auto [exact_y, exact_log_slope] = PrintedMixture(raw)(phi);
  RC_ASSERT(std::abs(y - static_cast<double>(exact_y)) < 1e-15 * (4 + std::exp(log_slope)));
  RC_ASSERT(std::abs(log_slope - static_cast<double>(exact_log_slope)) < 1e-9);
}

// Whatever the sheet: the spacing of the numbers phi is a spacing times the slope of y.
RC_GTEST_PROP(CircleMixture, InverseTakesBack, ()) {
  const MixtureParameters raw = *mixture_parameters(10);
  const auto mixture = mixture_of(raw);
  const double y = *reals_between(-kTwoPi, kTwoPi);
  const auto back = mixture_inverse(mixture, y);
  const auto again = mixture_forward(mixture, back.value);
  RC_ASSERT(std::abs(again.value - y) < 2e-15 * (4 + std::exp(back.log_slope)));
  RC_ASSERT(std::abs(again.log_slope - back.log_slope) < 1e-9);
}

// Where slopes are moderate, so is rounding.
RC_GTEST_PROP(CircleMixture, InverseTakesBackToRounding, ()) {
  const auto mixture = mixture_of(*mixture_parameters(3));
  const double y = *reals_between(0, kTwoPi);
  RC_ASSERT(std::abs(mixture_forward(mixture, mixture_inverse(mixture, y).value).value - y) < 1e-13);
  const double phi = *reals_between(0, kTwoPi);
  RC_ASSERT(std::abs(mixture_inverse(mixture, mixture_forward(mixture, phi).value).value - phi) < 1e-12);
}

// Near its fixed points 0 it is as exact as elsewhere, relative to the angle.
RC_GTEST_PROP(CircleMixture, InverseOfASmallAngleIsRelativelyExact, ()) {
  const auto mixture = mixture_of(*mixture_parameters(10));
  const double y = std::exp(*reals_between(-300, -10));
  const double again = mixture_forward(mixture, mixture_inverse(mixture, y).value).value;
  RC_ASSERT(std::abs(again - y) < 1e-14 * y);
  RC_ASSERT(mixture_inverse(mixture, -y).value == -mixture_inverse(mixture, y).value);
}

RC_GTEST_PROP(CircleMixture, Rises, ()) {
  const auto mixture = mixture_of(*mixture_parameters(10));
  double before = -7;
  for (int i = -1000; i <= 1000; ++i) {
    const double y = mixture_forward(mixture, kTwoPi * i / 1000).value;
    RC_ASSERT(before < y + 1e-14);
    before = y;
  }
}

RC_GTEST_PROP(CircleMixture, TakesEndsToEndsAndTheMiddleToItself, ()) {
  const auto mixture = mixture_of(*mixture_parameters(50));
  for (const double end : {-kTwoPi, -0.0, 0.0, kTwoPi}) {
    RC_ASSERT(mixture_forward(mixture, end).value == end);
    RC_ASSERT(mixture_inverse(mixture, end).value == end);
  }
  const double slope = std::exp(mixture_forward(mixture, kPi).log_slope);
  RC_ASSERT(std::abs(mixture_forward(mixture, kPi).value - kPi) < 1e-15 * (1 + slope));
  RC_ASSERT(std::abs(mixture_inverse(mixture, kPi).value - kPi) < 1e-15 * (1 + 1 / slope));
}

// Smooth across 0: by oddness the slopes at 0 and at the period are one.
RC_GTEST_PROP(CircleMixture, IsOddAndPeriodic, ()) {
  const auto mixture = mixture_of(*mixture_parameters(5));
  const double phi = *reals_between(0, kTwoPi);
  const auto here = mixture_forward(mixture, phi), there = mixture_forward(mixture, -phi);
  RC_ASSERT(std::abs(here.value + there.value) < 1e-14);
  RC_ASSERT(std::abs(here.log_slope - there.log_slope) < 1e-12);
  RC_ASSERT(std::abs(mixture_forward(mixture, phi - kTwoPi).value - (here.value - kTwoPi)) < 1e-12);
  RC_ASSERT(std::abs(mixture_inverse(mixture, phi - kTwoPi).value - (mixture_inverse(mixture, phi).value - kTwoPi)) <
            1e-12);
}

TEST(CircleMixture, OfZerosIsTheIdentity) {
  for (std::size_t components = 1; components <= kMaxMixtureComponents; ++components) {
    const auto mixture = CircleMixture<double>(components, [](std::size_t) { return 0.0; });
    for (int i = -100; i <= 100; ++i) {
      const double phi = kTwoPi * i / 100;
      for (const auto& there : {mixture_forward(mixture, phi), mixture_inverse(mixture, phi)}) {
        EXPECT_NEAR(there.value, phi, 4e-15) << components;
        EXPECT_NEAR(there.log_slope, 0, 4e-15);
      }
    }
  }
}

TEST(CircleMixture, BeyondTheClampNothingChanges) {
  const MixtureParameters at{kMostLogScale, -kMostLogScale, 0.5}, beyond{kMostLogScale + 40, -kMostLogScale - 40, 0.5};
  for (const double phi : {0.1, 1.0, 3.0, 6.0}) {
    EXPECT_EQ(mixture_forward(mixture_of(at), phi).value, mixture_forward(mixture_of(beyond), phi).value);
    MixtureParameters slopes(3, NAN);
    mixture_pull_back(mixture_of(beyond), phi, 1.0, 1.0, put_into(slopes));
    EXPECT_EQ(slopes[0], 0);
    EXPECT_EQ(slopes[1], 0);
    EXPECT_NE(slopes[2], 0);
  }
}

RC_GTEST_PROP(CircleMixture, LogSlopeIsThatOfTheFunction, ()) {
  const MixtureParameters raw = *mixture_parameters(5);
  const double phi = *reals_between(0.001, kPi - 0.001);
  const double slope = difference([&](Wide at) { return PrintedMixture(raw)(at).value; }, phi);
  RC_ASSERT(std::abs(mixture_forward(mixture_of(raw), phi).log_slope - std::log(slope)) < 1e-6);
}

// A loss of both outputs, of_value h + of_log_slope log h'.
RC_GTEST_PROP(CircleMixture, PullBackIsTheGradient, ()) {
  const MixtureParameters raw = *mixture_parameters(5);
  const double phi = *reals_between(0.001, kTwoPi - 0.001), of_value = *reals_between(-2, 2),
               of_log_slope = *reals_between(-2, 2);
  RC_PRE(std::abs(phi - kPi) > 0.001);  // not across the sheets of the printed formula
  const auto loss = [&](const std::vector<Wide>& s, Wide at) {
    const auto [y, log_slope] = PrintedMixture(s)(at);
    return of_value * y + of_log_slope * log_slope;
  };
  const std::vector<Wide> s(raw.begin(), raw.end());
  MixtureParameters slopes(raw.size(), NAN);
  const double of_phi = mixture_pull_back(mixture_of(raw), phi, of_value, of_log_slope, put_into(slopes));
  const double exact_of_phi = difference([&](Wide at) { return loss(s, at); }, phi);
  RC_ASSERT(std::abs(of_phi - exact_of_phi) < 1e-6 * (1 + std::abs(exact_of_phi)));
  for (std::size_t k = 0; k < raw.size(); ++k) {
    auto moved = s;
    const double exact = difference([&](Wide value) { return moved[k] = value, loss(moved, phi); }, raw[k]);
    RC_ASSERT(std::abs(slopes[k] - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

RC_GTEST_PROP(CircleMixture, DensitySlopesAreThoseOfTheInverse, ()) {
  const MixtureParameters raw = *mixture_parameters(2);
  const double phi = *reals_between(0.001, kTwoPi - 0.001), d = *reals_between(-2, 2);
  // log q(x) = d (x - x0): then -log q(y) = -d x(y) + log h'(x(y)).
  const auto minus_log_q = [&](const MixtureParameters& s, double y) {
    const auto [from, log_slope] = mixture_inverse(mixture_of(s), y);
    return -d * from + log_slope;
  };
  MixtureParameters slopes(raw.size(), NAN);
  const double of_y = mixture_density_slopes(mixture_of(raw), phi, d, put_into(slopes));
  const double y = mixture_forward(mixture_of(raw), phi).value, step = 1e-5;
  const double exact_of_y = -(minus_log_q(raw, y + step) - minus_log_q(raw, y - step)) / (2 * step);
  RC_ASSERT(std::abs(of_y - exact_of_y) < 1e-6 * (1 + std::abs(exact_of_y)));
  for (std::size_t k = 0; k < raw.size(); ++k) {
    auto above = raw, below = raw;
    above[k] += step;
    below[k] -= step;
    const double exact = (minus_log_q(above, y) - minus_log_q(below, y)) / (2 * step);
    RC_ASSERT(std::abs(slopes[k] - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

RC_GTEST_PROP(CircleMixture, NothingIsNotANumber, ()) {
  const MixtureParameters raw = *mixture_parameters(50);
  const auto mixture = mixture_of(raw);
  for (const double angle : {0.0, 1e-300, kPi, -kPi, std::nextafter(kPi, 4), kTwoPi, std::nextafter(kTwoPi, 7), 100.0,
                             *reals_between(-kTwoPi, kTwoPi)}) {
    MixtureParameters found(raw.size(), NAN);
    found.push_back(mixture_pull_back(mixture, angle, 1.0, -1.0, put_into(found)));
    found.push_back(mixture_density_slopes(mixture, angle, 1.0, put_into(found)));
    for (const auto& image : {mixture_forward(mixture, angle), mixture_inverse(mixture, angle)}) {
      found.insert(found.end(), {image.value, image.log_slope});
      RC_ASSERT(std::abs(image.value - angle) <= kPi + 1e-12);
    }
    for (const double number : found) RC_ASSERT(std::isfinite(number));
  }
}

TEST(CircleMixture, OfNotANumberIsNotANumber) {
  for (const std::size_t components : {1, 2, 3}) {
    const auto mixture = CircleMixture<double>(components, [](std::size_t) { return 0.1; });
    EXPECT_TRUE(std::isnan(mixture_forward(mixture, std::nan("")).value));
    EXPECT_TRUE(std::isnan(mixture_inverse(mixture, std::nan("")).value));
    const auto broken = CircleMixture<double>(components, [](std::size_t) { return std::nan(""); });
    EXPECT_TRUE(std::isnan(mixture_forward(broken, 1.0).value));
    EXPECT_TRUE(std::isnan(mixture_inverse(broken, 1.0).value));
  }
}

}  // namespace
}  // namespace flowloom
