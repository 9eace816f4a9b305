// Made-up series whose statistics are known in closed form: the rulers that the statistical tests measure with.
//
// The bits come from mt19937_64, which the standard fixes, and the normal numbers from Box and Muller's
// formula rather than std::normal_distribution, which it does not: a seed means the same series with every
// standard library.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>
#include <span>
#include <vector>

namespace flowloom::stats::testing {

class Noise {
 public:
  explicit Noise(std::uint64_t seed) : bits_(seed) {}

  // In (0, 1], with 53 random bits.
  double uniform() { return (static_cast<double>(bits_() >> 11) + 1.0) * 0x1p-53; }

  // N(0, 1).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::mt19937_64 bits_;
};

// A derived quantity: the ratio of two means.
inline double ratio(std::span<const double> means) { return means[0] / means[1]; }

inline std::vector<double> normal_series(std::size_t count, Noise& noise) {
  std::vector<double> x(count);
  for (double& v : x) v = noise.normal();
  return x;
}

// AR(1), x_i = rho x_{i-1} + sqrt(1 - rho^2) xi_i, from equilibrium: mean 0, variance 1, Gamma(t) = rho^|t|,
// tau_int = (1 + rho) / (2 (1 - rho)).
inline std::vector<double> ar1_series(double rho, std::size_t count, Noise& noise) {
  std::vector<double> x = normal_series(count, noise);
  const double kick = std::sqrt(1.0 - rho * rho);
  for (std::size_t i = 1; i < count; ++i) x[i] = rho * x[i - 1] + kick * x[i];
  return x;
}

inline double ar1_tau_int(double rho) { return (1.0 + rho) / (2.0 * (1.0 - rho)); }

// Independence Metropolis with log weights N(0, sigma^2), the first state a proposal, and an observable N(0,
// 1) that is independent of the weights: mean 0, variance 1. Acceptance erfc(sigma / 2).
struct MetropolisSeries {
  std::vector<std::uint8_t> accepted;  // one per step
  std::vector<double> observable;      // of the state after each step
};

inline MetropolisSeries metropolis_series(double sigma, std::size_t count, Noise& noise) {
  MetropolisSeries series;
  double log_w = sigma * noise.normal();
  double value = noise.normal();
  for (std::size_t i = 0; i < count; ++i) {
    const double proposed_log_w = sigma * noise.normal();
    const double proposed_value = noise.normal();
    const bool accept = std::log(noise.uniform()) < proposed_log_w - log_w;
    if (accept) {
      log_w = proposed_log_w;
      value = proposed_value;
    }
    series.accepted.push_back(accept ? 1 : 0);
    series.observable.push_back(value);
  }
  return series;
}

}  // namespace flowloom::stats::testing
