// Against tables, and against integrals that know nothing of characters.
#include "lattice/exact_2d.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "math/angle.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr std::int64_t kInfinite = 100000;

TEST(Exact2d, U1HasThePlaquettesOfTheTable) {
  struct Row {
    double beta, infinite, l4, l8;
  };
  for (const Row& row : {Row{1, .44638997, .44639391, .44638997}, Row{2, .69777466, .69925193, .69777466},
                         Row{5, .89338314, .89992885, .89342125}}) {
    const Exact2d exact = Exact2d::u1(row.beta);
    EXPECT_NEAR(exact.average_plaquette(kInfinite), row.infinite, 5.1e-9);
    EXPECT_NEAR(exact.average_plaquette(16), row.l4, 5.1e-9);
    EXPECT_NEAR(exact.average_plaquette(64), row.l8, 1e-8);  // the table repeats the infinite one at beta = 1 and 2
  }
}

TEST(Exact2d, U1HasTheSusceptibilitiesOfTheTable) {
  struct Row {
    double beta, infinite, l4, l8, l16;
  };
  for (const Row& row :
       {Row{1, .04063624, .04063111, .04063624, .04063624}, Row{2, .01936405, .01816476, .01936405, .01936405},
        Row{5, .00575581, .000574353, .00563621, .00575581}}) {
    EXPECT_NEAR(u1_susceptibility(row.beta, kInfinite), row.infinite, 5.1e-9);
    EXPECT_NEAR(u1_susceptibility(row.beta, 16), row.l4, row.beta == 5 ? 5.1e-10 : 5.1e-9);
    EXPECT_NEAR(u1_susceptibility(row.beta, 64), row.l8, 5.1e-9);
    EXPECT_NEAR(u1_susceptibility(row.beta, 256), row.l16, 5.1e-9);
  }
}

TEST(Exact2d, U1HasTheLogZOfTheTable) {
  struct Row {
    double beta, l8, l16;
  };
  for (const Row& row : {Row{1, 15.098519, 60.394076}, Row{2, 52.735587, 210.942347}, Row{5, 211.501103, 845.998535}}) {
    EXPECT_NEAR(Exact2d::u1(row.beta).log_z(64), row.l8, 5.1e-7);
    EXPECT_NEAR(Exact2d::u1(row.beta).log_z(256), row.l16, 5.1e-7);
  }
}

TEST(Exact2d, Su2AndSu3HaveThePlaquettesOfTheTable) {
  EXPECT_NEAR(Exact2d::su2(1).average_plaquette(kInfinite), .24019372, 5.1e-9);
  EXPECT_NEAR(Exact2d::su2(2).average_plaquette(kInfinite), .43312743, 5.1e-9);
  EXPECT_NEAR(Exact2d::su2(4).average_plaquette(kInfinite), .65804727, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(1).average_plaquette(64), .06012655, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(2).average_plaquette(64), .12862779, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(4).average_plaquette(64), .27961915, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(6).average_plaquette(64), .42253174, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(6).average_plaquette(16), .42253206, 5.1e-9);
  EXPECT_NEAR(Exact2d::su3(12).average_plaquette(64), .67767, 5.1e-6);
  const double beta = 0.1;  // its strong-coupling series
  EXPECT_NEAR(Exact2d::su3(beta).average_plaquette(kInfinite),
              beta / 18 + beta * beta / 216 - 5 * std::pow(beta, 4) / 93312, 1e-9);
}

// On one plaquette P = 1; on two, P' = 1 / P.
TEST(Exact2d, U1OnOneAndTwoPlaquettesIsTheIntegral) {
  for (const double beta : {0.3, 2.0, 17.0, 50.0}) {
    const Exact2d exact = Exact2d::u1(beta);
    EXPECT_NEAR(exact.average_plaquette(1), 1, 1e-14);
    EXPECT_NEAR(exact.log_z(1), beta, 1e-13 * beta);
    double z = 0, cosine = 0;
    constexpr int kPoints = 256;
    for (int k = 0; k < kPoints; ++k) {
      const double phi = 2 * kPi * k / kPoints, weight = std::exp(2 * beta * (std::cos(phi) - 1)) / kPoints;
      z += weight;
      cosine += weight * std::cos(phi);
    }
    EXPECT_NEAR(exact.average_plaquette(2), cosine / z, 1e-14);
    EXPECT_NEAR(exact.log_z(2), 2 * beta + std::log(z), 1e-13 * beta);
    EXPECT_EQ(u1_susceptibility(beta, 1), 0);
    EXPECT_EQ(u1_susceptibility(beta, 2), 0);
  }
}

// P, P' and -P - P', by the midpoint rule; the charge's jumps lie on the grid's diagonals.
TEST(Exact2d, U1OnThreePlaquettesIsTheIntegral) {
  const double beta = 0.8;
  double z = 0, cosine = 0, squares = 0;
  constexpr int kPoints = 600;
  for (int j = 0; j < kPoints; ++j) {
    for (int k = 0; k < kPoints; ++k) {
      const double p = kPi * ((2. * j + 1) / kPoints - 1), r = kPi * ((2. * k + 1) / kPoints - 1);
      const double weight = std::exp(beta * (std::cos(p) + std::cos(r) + std::cos(p + r)));
      z += weight;
      cosine += weight * std::cos(p);
      // On a diagonal, where p + r = +-pi, either charge has half of the cells.
      const int sum = std::abs(j + k + 1 - kPoints);
      squares += weight * (2 * sum > kPoints ? 1 : 2 * sum == kPoints ? 0.5 : 0);
    }
  }
  EXPECT_NEAR(Exact2d::u1(beta).average_plaquette(3), cosine / z, 1e-13);
  EXPECT_NEAR(u1_susceptibility(beta, 3), squares / z / 3, 1e-6);
}

// c_0, and the plaquette of the infinite lattice, from Haar's measure of the angles of eigenvalues.
TEST(Exact2d, Su2AndSu3AreTheIntegralsOverEigenvalues) {
  for (const double beta : {0.5, 6.0, 20.0, 50.0}) {
    double z2 = 0, trace2 = 0, z3 = 0, trace3 = 0;
    constexpr int kPoints = 200;
    for (int j = 0; j < kPoints; ++j) {
      const double a = 2 * kPi * j / kPoints;
      const double weight2 = 2 * std::pow(std::sin(a), 2) * std::exp(beta * (std::cos(a) - 1)) / kPoints;
      z2 += weight2;
      trace2 += weight2 * std::cos(a);
      for (int k = 0; k < kPoints; ++k) {
        const double b = 2 * kPi * k / kPoints;
        const auto ea = std::polar(1.0, a), eb = std::polar(1.0, b), ec = std::polar(1.0, -a - b);
        const double trace = (ea + eb + ec).real() / 3;
        const double weight3 =
            std::norm((ea - eb) * (eb - ec) * (ec - ea)) * std::exp(beta * (trace - 1)) / (6. * kPoints * kPoints);
        z3 += weight3;
        trace3 += weight3 * trace;
      }
    }
    EXPECT_NEAR(Exact2d::su2(beta).average_plaquette(kInfinite), trace2 / z2, 1e-13);
    EXPECT_NEAR(Exact2d::su3(beta).average_plaquette(kInfinite), trace3 / z3, 1e-12);
    EXPECT_NEAR(Exact2d::su2(beta).log_z(kInfinite) / kInfinite, beta + std::log(z2), 1e-12);
    EXPECT_NEAR(Exact2d::su3(beta).log_z(kInfinite) / kInfinite, beta + std::log(z3), 1e-12);
  }
}

TEST(Exact2d, TheSlopeOfLogZIsThePlaquette) {
  constexpr double kStep = 1e-3;
  for (const auto make : {Exact2d::u1, Exact2d::su2, Exact2d::su3}) {
    for (const double beta : {0.1, 1.0, 5.0, 20.0, 49.0}) {
      for (const std::int64_t v : {1, 2, 3, 16, 300}) {
        // five points: the error is of fourth order
        const auto log_z = [&](int k) { return make(beta + k * kStep).log_z(v); };
        const double slope = (log_z(-2) - 8 * log_z(-1) + 8 * log_z(1) - log_z(2)) / (12 * kStep);
        EXPECT_NEAR(make(beta).average_plaquette(v), slope / static_cast<double>(v), 2e-10) << beta << " " << v;
      }
    }
  }
}

TEST(Exact2d, WilsonLoopsHaveAnAreaLawOnALargeTorus) {
  for (const auto make : {Exact2d::u1, Exact2d::su2, Exact2d::su3}) {
    const Exact2d exact = make(3);
    for (const std::int64_t area : {0, 1, 2, 9}) {
      EXPECT_NEAR(exact.wilson_loop(area, kInfinite),
                  std::pow(exact.average_plaquette(kInfinite), static_cast<double>(area)), 1e-12);
    }
  }
}

// Their products are one and the same link, the other way around.
TEST(Exact2d, AbelianLoopsSeeTheTorusFromBothSides) {
  const Exact2d exact = Exact2d::u1(7);
  for (std::int64_t area = 0; area <= 16; ++area) {
    EXPECT_NEAR(exact.wilson_loop(area, 16), exact.wilson_loop(16 - area, 16), 1e-14);
  }
}

// Around all plaquettes goes a b a^-1 b^-1, whose mean in the representation r is 1 / d_r: at beta = 0, 1 / N^2.
TEST(Exact2d, ALoopAroundTheTorusIsACommutator) {
  EXPECT_NEAR(Exact2d::u1(0).wilson_loop(5, 5), 1, 1e-14);
  EXPECT_NEAR(Exact2d::su2(0).wilson_loop(5, 5), 1. / 4, 1e-14);
  EXPECT_NEAR(Exact2d::su3(0).wilson_loop(5, 5), 1. / 9, 1e-14);
}

TEST(Exact2d, WithoutACouplingTheLinksAreRandom) {
  for (const auto make : {Exact2d::u1, Exact2d::su2, Exact2d::su3}) {
    EXPECT_NEAR(make(0).log_z(64), 0, 1e-14);
    EXPECT_NEAR(make(0).average_plaquette(64), 0, 1e-14);
  }
  EXPECT_NEAR(u1_susceptibility(0, 64), 1. / 12, 1e-14);  // <P^2> / (2 pi)^2
}

TEST(Exact2d, WithoutACouplingTheActionIsZeroWithoutASign) {
  for (const auto make : {Exact2d::u1, Exact2d::su2, Exact2d::su3}) {
    const double action = *exact_pure_gauge(Geometry({4, 4}), 0, make, "action");
    EXPECT_EQ(action, 0);
    EXPECT_FALSE(std::signbit(action));
  }
}

TEST(Exact2d, RefusesWhatItDoesNotCover) {
  for (const auto make : {Exact2d::u1, Exact2d::su2, Exact2d::su3}) {
    EXPECT_THROW(make(-0.1), Error);
    EXPECT_THROW(make(50.1), Error);
    EXPECT_THROW(make(std::nan("")), Error);
    EXPECT_THROW(make(1).log_z(0), Error);
    EXPECT_THROW(make(1).wilson_loop(-1, 16), Error);
    EXPECT_THROW(make(1).wilson_loop(17, 16), Error);
  }
  EXPECT_THROW(u1_susceptibility(51, 16), Error);
  EXPECT_THROW(u1_susceptibility(1, 0), Error);
}

}  // namespace
}  // namespace flowloom
