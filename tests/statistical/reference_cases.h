// Measurements on the configurations of reference chains, written from the definitions alone, and their comparison with
// known numbers.
//
// Every comparison is off by at most 4 standard deviations, or the test fails. With other seeds, a right number fails
// with probability 6.3e-5; all comparisons of tests/statistical/reference_*_test.cc together, about 100, once in 160
// changes of the seeds. The errors are the Gamma method's, whose own error is a few percent here.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "lattice/gauge_lattice.h"
#include "lattice/link_matrix.h"
#include "lattice/reference_chain.h"
#include "stats/gamma_method.h"

namespace flowloom::reference {

constexpr double kSigmas = 4;

inline NoiseKey key_of(const std::string& what) { return NoiseKey::from("reference " + what); }

// Prints and checks the deviation of the mean of `data` from `known` with its error (0: exact).
inline void expect_mean(const std::string& what, const std::vector<double>& data, double known,
                        double known_error = 0) {
  const stats::GammaEstimate mean = stats::gamma_method(data);
  EXPECT_TRUE(mean.reliable) << what << " needs a longer chain: tau_int is " << mean.tau_int;
  const double sigmas = (mean.value - known) / std::hypot(mean.error, known_error);
  std::printf("  %-50s %12.7f +- %.7f  known %12.7f  %+5.2f sigma  tau_int %.2f\n", what.c_str(), mean.value,
              mean.error, known, sigmas, mean.tau_int);
  EXPECT_LT(std::abs(sigmas), kSigmas) << what << " is " << mean.value << " +- " << mean.error << ", not " << known;
}

// What is measured, and the value it must have.
struct Known {
  std::string name;
  std::function<double(std::span<const double> field)> measure;
  double value;
  double error = 0;
};

// Thermalises, measures after each step and compares.
inline void expect_means(const std::string& what, ReferenceChain& chain, std::size_t thermalise, std::size_t steps,
                         const std::vector<Known>& known) {
  chain.thermalise(thermalise);
  std::vector<std::vector<double>> data(known.size());
  for (std::size_t step = 0; step < steps; ++step) {
    chain.step();
    for (std::size_t k = 0; k < known.size(); ++k) data[k].push_back(known[k].measure(chain.field()));
  }
  for (std::size_t k = 0; k < known.size(); ++k)
    expect_mean(what + " " + known[k].name, data[k], known[k].value, known[k].error);
}

// Link (mu, x) of a flat field; N = 1: from its angle.
template <std::size_t N>
LinkMatrix<N> link_of(const GaugeLattice& lattice, std::span<const double> field, std::size_t mu, std::size_t x) {
  LinkMatrix<N> u;
  if constexpr (N == 1) {
    const double angle = field[lattice.link(mu, x)];
    u.entries = {std::cos(angle), std::sin(angle)};
  } else {
    for (std::size_t k = 0; k < u.kDoubles; ++k) u.entries[k] = field[(mu * u.kDoubles + k) * lattice.sites() + x];
  }
  return u;
}

// The mean over sites of (1 / N) Re tr of the loop of `width` links in direction mu by `height` in nu.
template <std::size_t N>
double loop(const GaugeLattice& lattice, std::span<const double> field, Plane plane, int width, int height) {
  const auto walk = [&](LinkMatrix<N>& product, std::size_t& x, std::size_t mu, int count) {
    for (int i = 0; i < std::abs(count); ++i) {
      if (count < 0) x = lattice.backward(mu, x);
      const LinkMatrix<N> u = link_of<N>(lattice, field, mu, x);
      product = product * (count < 0 ? adjoint(u) : u);
      if (count > 0) x = lattice.forward(mu, x);
    }
  };
  double sum = 0;
  for (std::size_t start = 0; start < lattice.sites(); ++start) {
    LinkMatrix<N> product = LinkMatrix<N>::identity();
    std::size_t x = start;
    walk(product, x, plane.mu, width);
    walk(product, x, plane.nu, height);
    walk(product, x, plane.mu, -width);
    walk(product, x, plane.nu, -height);
    for (std::size_t i = 0; i < N; ++i) sum += product.re(i, i);
  }
  return sum / static_cast<double>(N * lattice.sites());
}

// The mean of all plaquettes of the action.
template <std::size_t N>
double plaquette(const GaugeLattice& lattice, std::span<const double> field) {
  double sum = 0;
  for (const Plane& plane : lattice.planes()) sum += loop<N>(lattice, field, plane, 1, 1);
  return sum / static_cast<double>(lattice.planes().size());
}

// U(1) in two dimensions: (1 / 2 pi) sum of the plaquettes' angles in [-pi, pi).
inline double charge(const GaugeLattice& lattice, std::span<const double> field) {
  constexpr double kTurn = 2 * std::numbers::pi;
  double sum = 0;
  for (std::size_t x = 0; x < lattice.sites(); ++x) {
    const double angle = field[lattice.link(0, x)] + field[lattice.link(1, lattice.forward(0, x))] -
                         field[lattice.link(0, lattice.forward(1, x))] - field[lattice.link(1, x)];
    sum += angle - kTurn * std::floor((angle + std::numbers::pi) / kTurn);
  }
  return sum / kTurn;
}

}  // namespace flowloom::reference
