// One link at a time: the heat bath draws the distribution it claims, the reflection keeps the weight. Means of N
// independent draws; false alarm: 4.5 standard deviations, 7e-6 each, some 90 of them, with other seeds.
#include "lattice/link_update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>

#include "lattice/exact_2d.h"

namespace flowloom {
namespace {

template <std::size_t N>
double re_trace(const LinkMatrix<N>& a) {
  double sum = 0;
  for (std::size_t i = 0; i < N; ++i) sum += a.re(i, i);
  return sum;
}

template <std::size_t N>
double distance(const LinkMatrix<N>& a, const LinkMatrix<N>& b) {
  double largest = 0;
  for (std::size_t k = 0; k < a.entries.size(); ++k) largest = std::max(largest, std::abs(a.entries[k] - b.entries[k]));
  return largest;
}

// An element of the group: what the heat bath makes of nothing.
template <std::size_t N>
LinkMatrix<N> random_link(std::uint64_t number) {
  NoiseStream noise(NoiseKey::from("links"), Purpose::kReferenceChain, number);
  auto u = LinkMatrix<N>::identity();
  heat_bath(u, LinkMatrix<N>{}, 1, noise);
  return u;
}

// A sum of `count` elements, as staples are.
template <std::size_t N>
LinkMatrix<N> random_staples(std::uint64_t number, std::uint64_t count) {
  LinkMatrix<N> sum;
  for (std::uint64_t k = 0; k < count; ++k) sum += random_link<N>(1000 * number + k);
  return sum;
}

template <std::size_t N>
void scale(LinkMatrix<N>& a, double by) {
  for (double& x : a.entries) x *= by;
}

// The mean and its error of `value(u)` over links from the heat bath by `staples`, each from the identity.
template <std::size_t N, class Value>
void expect_mean(const LinkMatrix<N>& staples, double beta, Value value, double expected, const std::string& what) {
  constexpr int kDraws = 20000;
  double sum = 0, squares = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    NoiseStream noise(NoiseKey::from(what), Purpose::kReferenceChain, static_cast<std::uint64_t>(draw));
    auto u = LinkMatrix<N>::identity();
    heat_bath(u, staples, beta, noise);
    const double x = value(u);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kDraws;
  const double error = std::sqrt((squares / kDraws - mean * mean) / kDraws);
  EXPECT_NEAR(mean, expected, 4.5 * error + 1e-12) << what;
}

// int f(y) weight(y) / int weight(y) over [-1, 1], with y = cos(a).
template <class F, class Weight>
double mean_of(F f, Weight weight) {
  double sum = 0, all = 0;
  constexpr int kPoints = 2000;
  for (int k = 0; k < kPoints; ++k) {
    const double y = std::cos(std::numbers::pi * (k + 0.5) / kPoints);
    sum += f(y) * weight(y);
    all += weight(y);
  }
  return sum / all;
}

constexpr double kCouplings[] = {0, 1e-9, 0.3, 0.99, 1.01, 3, 20, 300};

TEST(LinkUpdate, U1IsDrawnFromVonMisesDistribution) {
  for (const double kappa : kCouplings) {
    const std::string what = "von Mises " + std::to_string(kappa);
    // A = 2 i: the maximum is at U = -i
    const LinkMatrix<1> staples{{0, 2}};
    const auto weight = [&](double y) { return std::exp(kappa * (y - 1)); };
    const auto cosine = [](const LinkMatrix<1>& u) { return -u.im(0, 0); };
    const auto sine = [](const LinkMatrix<1>& u) { return u.re(0, 0); };
    expect_mean(staples, kappa / 2, cosine, mean_of([](double y) { return y; }, weight), what);
    expect_mean(
        staples, kappa / 2, [&](const auto& u) { return std::pow(cosine(u), 3); },
        mean_of([](double y) { return y * y * y; }, weight), what);
    expect_mean(staples, kappa / 2, sine, 0, what);
    expect_mean(
        staples, kappa / 2, [&](const auto& u) { return std::pow(sine(u), 4); },
        mean_of([](double y) { return std::pow(1 - y * y, 2); }, weight), what);
  }
}

// exp(alpha y0) with staples alpha / beta times a rotation; the angles' measure is sin^2, once in `mean_of` and once
// here.
TEST(LinkUpdate, Su2IsDrawnFromItsWeight) {
  const LinkMatrix<2> rotation = random_link<2>(7);
  for (const double alpha : kCouplings) {
    const std::string what = "SU(2) " + std::to_string(alpha);
    LinkMatrix<2> staples = rotation;
    scale(staples, 0.5 * alpha);
    const auto weight = [&](double y) { return (1 - y * y) * std::exp(alpha * (y - 1)); };
    const auto y = [&](const LinkMatrix<2>& u) { return u * rotation; };
    expect_mean(
        staples, 2, [&](const auto& u) { return y(u).re(0, 0); }, mean_of([](double y0) { return y0; }, weight), what);
    expect_mean(
        staples, 2, [&](const auto& u) { return std::pow(y(u).re(0, 0), 3); },
        mean_of([](double y0) { return y0 * y0 * y0; }, weight), what);
    for (const auto& [row, column] : {std::pair{0u, 0u}, std::pair{0u, 1u}}) {  // a3 and a1: isotropic around 0
      expect_mean(staples, 2, [&, i = row, j = column](const auto& u) { return y(u).im(i, j); }, 0, what);
      expect_mean(
          staples, 2, [&, i = row, j = column](const auto& u) { return std::pow(y(u).im(i, j), 2); },
          mean_of([](double y0) { return (1 - y0 * y0) / 3; }, weight), what);
    }
  }
}

// Three subgroups in a row are no draw from the weight of the whole, but leave it as it is: every tenth link of a
// chain. With staples c times a rotation R, U R has the weight of a plaquette of the infinite lattice at beta c.
TEST(LinkUpdate, Su3LeavesItsWeightInvariant) {
  const LinkMatrix<3> rotation = random_link<3>(7);
  LinkMatrix<3> staples = rotation;
  scale(staples, 2);
  for (const double beta : {0.0, 1.0, 3.0, 10.0}) {
    constexpr int kDraws = 8000;
    double sum = 0, squares = 0;
    LinkMatrix<3> u = random_link<3>(8);
    for (int draw = 0; draw < 10 * kDraws; ++draw) {
      NoiseStream noise(NoiseKey::from("SU(3)"), Purpose::kReferenceChain, static_cast<std::uint64_t>(draw));
      heat_bath(u, staples, beta, noise);
      if (draw % 10 != 9) continue;
      const double x = re_trace(u * rotation) / 3;
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, Exact2d::su3(2 * beta).average_plaquette(100000),
                4.5 * std::sqrt((squares / kDraws - mean * mean) / kDraws));
    EXPECT_LT(distance(u * adjoint(u), LinkMatrix<3>::identity()), 1e-11);
  }
}

// With sums of elements of the group, as staples are, there is Schwinger and Dyson's equation of exp(i w_a T_a) U:
// <sum_a (dS/dw_a)^2> = <sum_a d^2S/dw_a^2>. With W = U A and the Hermitian X = (W - W^dagger) / 2i it is
//   (beta / N) <tr X^2 - (tr X)^2 / N> / 2 = (N^2 - 1) / (2 N) <Re tr W>
// The mean of the difference over `count` links, and its error from blocks, which are independent.
template <std::size_t N>
std::pair<double, double> schwinger_dyson(double beta, int count) {
  constexpr int kBlock = 100;
  constexpr double kN = static_cast<double>(N);
  const LinkMatrix<N> staples = random_staples<N>(5, 2);
  LinkMatrix<N> u = random_link<N>(6);
  double sum = 0, squares = 0, block = 0;
  for (int i = 1; i <= count; ++i) {
    NoiseStream noise(NoiseKey::from("Schwinger and Dyson"), Purpose::kReferenceChain, static_cast<std::uint64_t>(i));
    heat_bath(u, staples, beta, noise);
    reunitarise(u);
    const LinkMatrix<N> w = u * staples;
    double square = 0, trace = 0;
    for (std::size_t j = 0; j < N; ++j) {
      trace += w.im(j, j);
      for (std::size_t k = 0; k < N; ++k) {
        square += 0.25 * (std::pow(w.im(j, k) + w.im(k, j), 2) + std::pow(w.re(j, k) - w.re(k, j), 2));
      }
    }
    block += beta / kN * 0.5 * (square - trace * trace / kN) - (kN * kN - 1) / (2 * kN) * re_trace(w);
    if (i % kBlock != 0) continue;
    sum += block / kBlock;
    squares += block * block / (kBlock * kBlock);
    block = 0;
  }
  const double blocks = static_cast<double>(count) / kBlock;
  return {sum / blocks, std::sqrt((squares / blocks - sum * sum / (blocks * blocks)) / blocks)};
}

TEST(LinkUpdate, SumsOfStaplesKeepSchwingerAndDysonsEquation) {
  for (const double beta : {0.5, 3.0, 8.0}) {
    const auto [su2, su2_error] = schwinger_dyson<2>(beta, 100000);
    EXPECT_NEAR(su2, 0, 4.5 * su2_error) << beta;
    const auto [su3, su3_error] = schwinger_dyson<3>(beta, 100000);
    EXPECT_NEAR(su3, 0, 4.5 * su3_error) << beta;
    EXPECT_LT(std::max(su2_error, su3_error), 0.01);
  }
}

template <std::size_t N>
void expect_reflection() {
  for (std::uint64_t number = 1; number <= 10; ++number) {
    const LinkMatrix<N> staples = random_staples<N>(number, 6);
    const LinkMatrix<N> before = random_link<N>(number);
    LinkMatrix<N> u = before;
    overrelax(u, staples);
    EXPECT_NEAR(re_trace(u * staples), re_trace(before * staples), 1e-13);
    EXPECT_GT(distance(u, before), 0.01);
    EXPECT_LT(distance(u * adjoint(u), LinkMatrix<N>::identity()), 1e-14);
    if (N < 3) {  // in SU(3) the second time goes through the subgroups in the same order, not back
      overrelax(u, staples);
      EXPECT_LT(distance(u, before), 1e-13);
    }
  }
}

TEST(LinkUpdate, OverrelaxationMovesTheLinkAndKeepsItsWeight) {
  expect_reflection<1>();
  expect_reflection<2>();
  expect_reflection<3>();
}

template <std::size_t N>
void expect_nothing_without_staples() {
  LinkMatrix<N> u = random_link<N>(3);
  const LinkMatrix<N> before = u;
  overrelax(u, LinkMatrix<N>{});
  EXPECT_LT(distance(u, before), 1e-15);
}

TEST(LinkUpdate, OverrelaxationWithoutStaplesDoesNothing) {
  expect_nothing_without_staples<1>();
  expect_nothing_without_staples<2>();
  expect_nothing_without_staples<3>();
}

template <std::size_t N>
void expect_reunitarised() {
  LinkMatrix<N> u = random_link<N>(11);
  const LinkMatrix<N> before = u;
  reunitarise(u);
  EXPECT_LT(distance(u, before), 1e-14);  // it is one already: the last row from the others is the one there is
  for (std::size_t k = 0; k < u.entries.size(); ++k) u.entries[k] += 1e-6 * std::sin(static_cast<double>(k));
  EXPECT_GT(distance(u * adjoint(u), LinkMatrix<N>::identity()), 1e-7);
  reunitarise(u);
  EXPECT_LT(distance(u * adjoint(u), LinkMatrix<N>::identity()), 1e-15);
  EXPECT_LT(distance(u, before), 1e-5);
}

TEST(LinkMatrix, ReunitarisingTakesErrorsOutAndKeepsTheGroup) {
  expect_reunitarised<1>();
  expect_reunitarised<2>();
  expect_reunitarised<3>();
}

TEST(LinkMatrix, TheAdjointOfAProductIsTheProductOfAdjointsInReverse) {
  const auto a = random_staples<3>(1, 2), b = random_staples<3>(2, 2);
  EXPECT_LT(distance(adjoint(a * b), adjoint(b) * adjoint(a)), 1e-15);
}

}  // namespace
}  // namespace flowloom
