#include "lattice/wilson_2d.h"

#include "math/angle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numbers>
#include <numeric>

#include "flow_cases.h"
#include "wilson_2d_dense.h"

namespace flowloom {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Angles of links with what they lead to, by the elimination.
struct WilsonCase {
  Wilson2d wilson;
  std::vector<double> angles;  // [mu][site]

  std::size_t sites() const { return wilson.sites(); }
  std::size_t link(std::size_t mu, std::size_t x, std::size_t t) const {
    return mu * sites() + x % wilson.space() * wilson.time() + t % wilson.time();
  }

  struct Found {
    double log_abs_det, of_slopes;
    std::vector<double> slopes;
    double by_mass;
    std::vector<double> pion;
  };
  Found find() const {
    std::vector<double> cos, sin;
    for (const double angle : angles) {
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
    const auto workspace = [&](Wilson2dUse use) { return std::vector<double>(wilson.workspace(use), kNaN); };
    std::vector<double> one = workspace(Wilson2dUse::kLogDet), two = workspace(Wilson2dUse::kSlopes),
                        three = workspace(Wilson2dUse::kPion);
    using Solver = Wilson2dSolver<double>;
    Found found;
    found.slopes.assign(angles.size(), kNaN);
    found.pion.assign(wilson.time(), kNaN);
    found.log_abs_det = Solver::log_abs_det(wilson, cos.data(), sin.data(), one.data());
    const auto slopes = Solver::slopes(wilson, cos.data(), sin.data(), two.data(), found.slopes.data());
    found.of_slopes = slopes.log_abs_det;
    found.by_mass = slopes.by_mass;
    Solver::pion(wilson, cos.data(), sin.data(), three.data(), found.pion.data());
    return found;
  }
  double log_abs_det() const { return find().log_abs_det; }
  DenseMatrix dense() const { return dense_wilson(wilson.space(), wilson.time(), wilson.mass(), angles); }
};

// Angles that are normal of this width; from 2 on they are nearly uniform on the circle.
WilsonCase random_case(std::size_t space, std::size_t time, double mass, double width = 3, std::uint64_t number = 1) {
  WilsonCase random{Wilson2d(space, time, mass), noise_at(number, 2 * space * time)};
  for (double& angle : random.angles) angle *= width;
  return random;
}

// The constant field of charge 1 (every plaquette is 2 pi / V) with normal noise on it.
WilsonCase charged_case(std::size_t space, std::size_t time, double mass, double width) {
  WilsonCase charged = random_case(space, time, mass, width);
  const double flux = 2 * kPi / static_cast<double>(space * time);
  for (std::size_t x = 0; x < space; ++x) {
    for (std::size_t t = 0; t < time; ++t) {
      charged.angles[charged.link(1, x, t)] += flux * static_cast<double>(x);
      if (x + 1 == space) charged.angles[charged.link(0, x, t)] -= flux * static_cast<double>(space * t);
    }
  }
  return charged;
}

// Above and below criticality, odd and tiny extents, rough and smooth links.
std::vector<WilsonCase> wilson_cases() {
  std::vector<WilsonCase> cases;
  for (const auto& [space, time] : std::vector<std::pair<std::size_t, std::size_t>>{
           {4, 4}, {4, 6}, {6, 4}, {8, 8}, {5, 3}, {3, 5}, {7, 2}, {2, 7}, {1, 1}, {1, 2}, {2, 1}, {1, 5}, {5, 1}}) {
    for (const double mass : {0.5, 0.1, -0.188, -0.3}) {
      for (const double width : {3.0, 0.3}) cases.push_back(random_case(space, time, mass, width));
    }
  }
  return cases;
}

std::string name_of(const WilsonCase& of) {
  return std::to_string(of.wilson.space()) + "x" + std::to_string(of.wilson.time()) + ", mass " +
         std::to_string(of.wilson.mass()) + ", first angle " + std::to_string(of.angles[0]);
}

double product_over_momenta(std::size_t space, std::size_t time, double mass) {
  double sum = 0;
  for (std::size_t k = 0; k < space; ++k) {
    for (std::size_t l = 0; l < time; ++l) {
      const double p0 = 2 * kPi * static_cast<double>(k) / static_cast<double>(space);
      const double p1 = 2 * kPi * (static_cast<double>(l) + 0.5) / static_cast<double>(time);
      sum += std::log(std::pow(mass + 2 - std::cos(p0) - std::cos(p1), 2) + std::pow(std::sin(p0), 2) +
                      std::pow(std::sin(p1), 2));
    }
  }
  return sum;
}

TEST(Wilson2d, FreeFermionsHaveTheProductOverMomenta) {
  const auto free = [](std::size_t space, std::size_t time, double mass) {
    return WilsonCase{Wilson2d(space, time, mass), std::vector<double>(2 * space * time)}.log_abs_det();
  };
  EXPECT_NEAR(free(4, 4, 0.1), 24.77272649442347, 2e-14 * 24.8);
  for (const auto& [space, time] :
       std::vector<std::pair<std::size_t, std::size_t>>{{4, 6}, {6, 4}, {16, 16}, {5, 8}, {1, 2}}) {
    for (const double mass : {-0.3, -0.188, 0.1, 3.0, 1e4}) {
      const double expected = product_over_momenta(space, time, mass);
      EXPECT_NEAR(free(space, time, mass), expected, 1e-14 * std::abs(expected)) << space << "x" << time << " " << mass;
    }
  }
}

TEST(Wilson2d, TheLogOfTheDeterminantIsThatOfADenseElimination) {
  for (const WilsonCase& wilson : wilson_cases()) {
    const auto found = wilson.find();
    const double expected = dense_solve(wilson.dense()).log_abs_det;
    EXPECT_NEAR(found.log_abs_det, expected, 1e-12) << name_of(wilson);
    EXPECT_NEAR(found.of_slopes, expected, 1e-12) << name_of(wilson);
  }
}

// Where slices with open boundaries have light modes: topological charge, and masses far below criticality.
TEST(Wilson2d, ItNeedsNoPivotsBelowCriticality) {
  for (const double mass : {-0.188, -0.3, -0.5}) {
    for (const double width : {0.0, 0.1, 0.3, 0.5}) {
      const WilsonCase wilson = charged_case(8, 8, mass, width);
      EXPECT_NEAR(wilson.log_abs_det(), dense_solve(wilson.dense()).log_abs_det, 1e-11) << name_of(wilson);
    }
  }
}

// sigma_z D sigma_z = D^dagger, gamma_5 of two dimensions being sigma_z: of what all else here is held against.
TEST(Wilson2d, TheDenseOperatorIsGamma5Hermitian) {
  for (const auto& [space, time] : std::vector<std::pair<std::size_t, std::size_t>>{{4, 6}, {5, 3}}) {
    const DenseMatrix d = random_case(space, time, -0.188).dense();
    for (std::size_t i = 0; i < d.size; ++i) {
      for (std::size_t k = 0; k < d.size; ++k) {
        const double sign = (i + k) % 2 == 0 ? 1 : -1;
        EXPECT_LT(std::abs(sign * d(i, k) - std::conj(d(k, i))), 1e-15)
            << space << "x" << time << ": " << i << ", " << k;
      }
    }
  }
}

TEST(Wilson2d, TheDeterminantIsReal) {
  for (const WilsonCase& wilson : wilson_cases()) {
    EXPECT_NEAR(dense_solve(wilson.dense()).phase.imag(), 0, 1e-12) << name_of(wilson);
  }
}

TEST(Wilson2d, AGaugeTransformationChangesNothing) {
  for (const WilsonCase& wilson : wilson_cases()) {
    WilsonCase gauged = wilson;
    const std::vector<double> alpha = noise_at(7, wilson.sites());
    for (std::size_t x = 0; x < wilson.wilson.space(); ++x) {
      for (std::size_t t = 0; t < wilson.wilson.time(); ++t) {
        const double here = 3 * alpha[wilson.link(0, x, t)];
        gauged.angles[wilson.link(0, x, t)] += here - 3 * alpha[wilson.link(0, x + 1, t)];
        gauged.angles[wilson.link(1, x, t)] += here - 3 * alpha[wilson.link(0, x, t + 1)];
      }
    }
    const auto before = wilson.find(), after = gauged.find();
    EXPECT_NEAR(before.log_abs_det, after.log_abs_det, 1e-10) << name_of(wilson);
    for (std::size_t i = 0; i < before.slopes.size(); ++i) {
      EXPECT_NEAR(before.slopes[i], after.slopes[i], 1e-10) << name_of(wilson) << ", link " << i;
    }
    for (std::size_t t = 0; t < before.pion.size(); ++t)
      EXPECT_NEAR(before.pion[t], after.pion[t], 1e-10 * before.pion[t]);
  }
}

// log det D = 2 V log M + sum_x cos P(x) / (2 M^4) + O(M^-6), M = m + 2, on lattices that four hops do not wind around.
TEST(Wilson2d, HeavyFermionsAddAPlaquetteTerm) {
  const WilsonCase wilson = random_case(6, 5, 38, 0.3);
  double plaquettes = 0;
  for (std::size_t x = 0; x < 6; ++x) {
    for (std::size_t t = 0; t < 5; ++t) {
      const auto& angles = wilson.angles;
      plaquettes += std::cos(angles[wilson.link(0, x, t)] + angles[wilson.link(1, x + 1, t)] -
                             angles[wilson.link(0, x, t + 1)] - angles[wilson.link(1, x, t)]);
    }
  }
  const double rest = wilson.log_abs_det() - 60 * std::log(40.0);
  EXPECT_NEAR(rest * 2 * std::pow(40.0, 4), plaquettes, 0.02 * plaquettes);
}

TEST(Wilson2d, TheSlopesAreTracesWithTheDenseInverse) {
  for (const WilsonCase& wilson : wilson_cases()) {
    const auto found = wilson.find();
    const DenseMatrix inverse = dense_solve(wilson.dense()).inverse;
    double largest = 1;
    for (const StdComplex& element : inverse.elements) largest = std::max(largest, std::norm(element));
    double trace = 0;
    for (std::size_t k = 0; k < inverse.size; ++k) trace += inverse(k, k).real();
    EXPECT_NEAR(found.by_mass, trace, 1e-12 * largest) << name_of(wilson);
    for (std::size_t link = 0; link < wilson.angles.size(); ++link) {
      // D is linear in the link and its conjugate, so that a quarter turn either way is twice its derivative.
      WilsonCase ahead = wilson, behind = wilson;
      ahead.angles[link] += kPi / 2;
      behind.angles[link] -= kPi / 2;
      const DenseMatrix there = ahead.dense(), back = behind.dense();
      StdComplex slope = 0;
      for (std::size_t k = 0; k < inverse.size; ++k) {
        for (std::size_t l = 0; l < inverse.size; ++l) slope += inverse(k, l) * (there(l, k) - back(l, k)) / 2.0;
      }
      EXPECT_NEAR(found.slopes[link], slope.real(), 1e-12 * largest) << name_of(wilson) << ", link " << link;
    }
  }
}

TEST(Wilson2d, TheSlopesAreFiniteDifferences) {
  const double h = 1e-5;
  WilsonCase wilson = random_case(4, 6, -0.188);
  const auto found = wilson.find();
  double largest = 0;
  for (const double slope : found.slopes) largest = std::max(largest, std::abs(slope));
  for (std::size_t link = 0; link < wilson.angles.size(); ++link) {
    const double angle = wilson.angles[link];
    wilson.angles[link] = angle + h;
    const double above = wilson.log_abs_det();
    wilson.angles[link] = angle - h;
    const double below = wilson.log_abs_det();
    wilson.angles[link] = angle;
    EXPECT_NEAR(found.slopes[link], (above - below) / (2 * h), 1e-6 * largest) << "link " << link;
  }
  const auto at_mass = [&](double mass) { return WilsonCase{Wilson2d(4, 6, mass), wilson.angles}.log_abs_det(); };
  EXPECT_NEAR(found.by_mass, (at_mass(-0.188 + h) - at_mass(-0.188 - h)) / (2 * h), 1e-6 * found.by_mass);
}

TEST(Wilson2d, ThePionsCorrelatorIsTheDenseInversesAveragedOverAllSources) {
  for (const WilsonCase& wilson : wilson_cases()) {
    const std::size_t time = wilson.wilson.time();
    const auto found = wilson.find();
    const DenseMatrix inverse = dense_solve(wilson.dense()).inverse;
    std::vector<double> expected(time);
    for (std::size_t sink = 0; sink < inverse.size; ++sink) {
      for (std::size_t source = 0; source < inverse.size; ++source) {
        expected[(sink / 2 % time + time - source / 2 % time) % time] +=
            std::norm(inverse(sink, source)) / static_cast<double>(wilson.sites());
      }
    }
    for (std::size_t t = 0; t < time; ++t)
      EXPECT_NEAR(found.pion[t], expected[t], 1e-11 * expected[t]) << name_of(wilson);
  }
}

// As a GPU's memory is laid out: neighbouring samples beside each other.
struct Strided {
  double* first;
  std::size_t stride;
  constexpr double& operator[](std::size_t i) const { return first[i * stride]; }
};

TEST(Wilson2d, SamplesThatLieBesideEachOtherDoNotDisturbEachOther) {
  constexpr std::size_t kSamples = 3;
  const Wilson2d wilson(4, 3, 0.1);
  const auto interleaved = [](std::size_t count) { return std::vector<double>(count * kSamples, kNaN); };
  std::vector<double> cos = interleaved(24), sin = cos, slopes = cos,
                      work = interleaved(wilson.workspace(Wilson2dUse::kSlopes));
  std::vector<WilsonCase::Found> expected;
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    const WilsonCase own = random_case(4, 3, 0.1, 3, sample);
    expected.push_back(own.find());
    for (std::size_t i = 0; i < 24; ++i) {
      cos[i * kSamples + sample] = std::cos(own.angles[i]);
      sin[i * kSamples + sample] = std::sin(own.angles[i]);
    }
  }
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    const auto of = [&](std::vector<double>& all) { return Strided{all.data() + sample, kSamples}; };
    const auto found = Wilson2dSolver<double>::slopes(wilson, of(cos), of(sin), of(work), of(slopes));
    EXPECT_EQ(found.log_abs_det, expected[sample].of_slopes);
    EXPECT_EQ(found.by_mass, expected[sample].by_mass);
  }
  for (std::size_t i = 0; i < slopes.size(); ++i) EXPECT_EQ(slopes[i], expected[i % kSamples].slopes[i / kSamples]);
}

TEST(Wilson2d, ItStaysWithinItsWorkspace) {
  for (const auto use : {Wilson2dUse::kLogDet, Wilson2dUse::kSlopes, Wilson2dUse::kPion}) {
    for (const auto& [space, time] : std::vector<std::pair<std::size_t, std::size_t>>{{4, 4}, {3, 5}, {5, 1}, {2, 2}}) {
      const Wilson2d wilson(space, time, 0.1);
      std::vector<double> work(wilson.workspace(use) + 64, 4.5), cos(2 * space * time, 1.0), sin(2 * space * time, 0.0),
          out(2 * space * time);
      using Solver = Wilson2dSolver<double>;
      if (use == Wilson2dUse::kLogDet) Solver::log_abs_det(wilson, cos.data(), sin.data(), work.data());
      if (use == Wilson2dUse::kSlopes) Solver::slopes(wilson, cos.data(), sin.data(), work.data(), out.data());
      if (use == Wilson2dUse::kPion) Solver::pion(wilson, cos.data(), sin.data(), work.data(), out.data());
      const auto end = work.end() - 64;
      EXPECT_LT(std::count(end - 4, end, 4.5), 4) << "more than it needs";
      EXPECT_EQ(std::count(end, work.end(), 4.5), 64);
    }
  }
}

TEST(Wilson2d, WhatItCannotDoIsRefused) {
  EXPECT_EQ(sentence_of([] { Wilson2d(65, 4, 0.1); }),
            "Wilson fermions need 1 to 64 sites in space and at least 1 in time, not 65 x 4.");
  EXPECT_NE(sentence_of([] { Wilson2d(4, 0, 0.1); }), "");
  for (const double mass : {-1.0, 2e6, kNaN}) {
    EXPECT_EQ(sentence_of([&] { Wilson2d(4, 4, mass); }),
              "the mass of Wilson fermions must be above -1 and at most 1e6.");
  }
  EXPECT_EQ(sentence_of([] { Wilson2d(64, 1, -0.9); }), "");
}

}  // namespace
}  // namespace flowloom
