#include "lattice/exact_2d.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "math/angle.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr double kSmallest = 1e-24;  // of what is kept beside 1

// The modified Bessel functions I_n(x) of integer order: their ratios to I_0, up to the last above kSmallest and at
// least to n = 2, and log I_0.
//
// Miller's way: I_{n+1} / I_n = x / (2 (n + 1) + x I_{n+2} / I_{n+1}) from far above, where any start is forgotten,
// down; and exp(x) = I_0 + 2 sum_{n>0} I_n. All terms are positive: nothing cancels, nothing overflows.
struct BesselRatios {
  explicit BesselRatios(double x) {
    const int start = 100 + static_cast<int>(2 * x);
    steps.resize(static_cast<std::size_t>(start));
    double above = 0;
    for (std::size_t n = steps.size(); n-- > 0;) above = steps[n] = x / (2 * static_cast<double>(n + 1) + x * above);
    double ratio = 1, sum = 0;
    for (const double step : steps) {
      ratios.push_back(ratio);
      ratio *= step;
      if (ratio < kSmallest && ratios.size() > 2) break;
      sum += ratio;
    }
    log_i0 = x - std::log1p(2 * sum);
  }

  // I_n / I_0 for any integer n.
  double operator()(int n) const {
    const auto order = static_cast<std::size_t>(std::abs(n));
    return order < ratios.size() ? ratios[order] : 0;
  }
  int last() const { return static_cast<int>(ratios.size()) - 1; }

  std::vector<double> steps;   // I_{n+1} / I_n
  std::vector<double> ratios;  // I_n / I_0
  double log_i0;
};

void check_beta(double beta) {
  if (!(beta >= 0 && beta <= Exact2d::kMaxBeta)) {
    throw Error(ErrorCode::kInvalidInput, "Exact results in two dimensions need beta in [0, " +
                                              std::to_string(static_cast<int>(Exact2d::kMaxBeta)) + "], not " +
                                              std::to_string(beta) + ".");
  }
}

void check_plaquettes(std::int64_t plaquettes) {
  if (plaquettes < 1) {
    throw Error(ErrorCode::kInvalidInput, "A torus has at least 1 plaquette, not " + std::to_string(plaquettes) + ".");
  }
}

double power(double base, std::int64_t exponent) { return std::pow(base, static_cast<double>(exponent)); }

double determinant(const std::array<std::array<double, 3>, 3>& m) {
  return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
         m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

}  // namespace

Exact2d::Exact2d(double colours, double log_c0, std::vector<Irrep> irreps)
    : colours_(colours), log_c0_(log_c0), irreps_(std::move(irreps)) {}

// The irreducible representations are exp(i n phi), and u_n = I_n / I_0.
Exact2d Exact2d::u1(double beta) {
  check_beta(beta);
  const BesselRatios bessel(beta);
  const int last = bessel.last();
  std::vector<Irrep> irreps;
  for (int n = -last; n <= last; ++n) {
    irreps.push_back({.dimension = 1, .ratio = bessel(n), .times_fundamental = {n < last ? n + last + 1 : -1, -1, -1}});
  }
  return {1, bessel.log_i0, std::move(irreps)};
}

// Spin (d - 1) / 2: u_d = I_d / I_1, and c_0 = 2 I_1 / beta, which is 2 I_0 / (2 + beta I_2 / I_1).
Exact2d Exact2d::su2(double beta) {
  check_beta(beta);
  const BesselRatios bessel(beta);
  const int last = bessel.last();
  std::vector<Irrep> irreps;
  double ratio = 1;
  for (int d = 1; d <= last; ++d) {
    irreps.push_back(
        {.dimension = static_cast<double>(d), .ratio = ratio, .times_fundamental = {d < last ? d : -1, d - 2, -1}});
    ratio *= bessel.steps[static_cast<std::size_t>(d)];
  }
  return {2, bessel.log_i0 - std::log1p(0.5 * beta * bessel.steps[1]), std::move(irreps)};
}

// Dynkin labels (p, q), rows l = (p + q, q, 0): int dP chi_r^* exp((beta / 3) Re tr P) = sum_n det_ij I_{l_i - i + j +
// n}(beta / 3).
Exact2d Exact2d::su3(double beta) {
  check_beta(beta);
  const BesselRatios bessel(beta / 3);
  const int last = bessel.last() + 2;
  // Rows that are all p + q = `top` away from each other have a Bessel function of order top / 2 on either side.
  const int top = last;
  const auto number = [top](int p, int q) { return p < 0 || q < 0 || p + q > top ? -1 : p * (top + 1) + q; };

  const auto integral = [&](int p, int q) {
    const std::array<int, 3> rows{p + q, q, 0};
    double sum = 0;
    for (int n = -last - p - q; n <= last; ++n) {
      std::array<std::array<double, 3>, 3> m;
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) {
          m[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] =
              bessel(rows[static_cast<std::size_t>(i)] - i + j + n);
        }
      }
      sum += determinant(m);
    }
    return sum;
  };
  const double c0 = integral(0, 0);
  std::vector<Irrep> irreps;
  for (int p = 0; p <= top; ++p) {
    for (int q = 0; q <= top; ++q) {
      const double dimension = 0.5 * (p + 1) * (q + 1) * (p + q + 2);
      const double ratio = p + q > top ? 0 : std::max(0.0, integral(p, q) / (dimension * c0));
      irreps.push_back({.dimension = dimension,
                        .ratio = ratio,
                        .times_fundamental = {number(p + 1, q), number(p - 1, q + 1), number(p, q - 1)}});
    }
  }
  return {3, std::log(c0) + 3 * bessel.log_i0, std::move(irreps)};
}

double Exact2d::sum_of_powers(std::int64_t plaquettes) const {
  double sum = 0;
  for (const Irrep& r : irreps_) sum += power(r.ratio, plaquettes);
  return sum;
}

double Exact2d::log_z(std::int64_t plaquettes) const {
  check_plaquettes(plaquettes);
  return static_cast<double>(plaquettes) * log_c0_ + std::log(sum_of_powers(plaquettes));
}

double Exact2d::wilson_loop(std::int64_t area, std::int64_t plaquettes) const {
  check_plaquettes(plaquettes);
  if (area < 0 || area > plaquettes) {
    throw Error(ErrorCode::kInvalidInput, "A Wilson loop on a torus of " + std::to_string(plaquettes) +
                                              " plaquettes has an area from 0 to that, not " + std::to_string(area) +
                                              ".");
  }
  double sum = 0;
  for (const Irrep& r : irreps_) {
    for (const int number : r.times_fundamental) {
      if (number < 0) continue;
      const Irrep& s = irreps_[static_cast<std::size_t>(number)];
      sum += s.dimension / r.dimension * power(r.ratio, plaquettes - area) * power(s.ratio, area);
    }
  }
  return sum / (colours_ * sum_of_powers(plaquettes));
}

// Z(t) = sum_n z_n(t)^V with z_n(t) = (1 / 2 pi) int_{-pi}^{pi} exp(beta cos phi) cos((n + t / 2 pi) phi) dphi, and
// <Q^2> = -Z'' / Z at t = 0. Its derivatives are the moments of phi and phi^2, as series in exp(beta cos phi) = sum_m
// I_m cos(m phi).
double u1_susceptibility(double beta, std::int64_t plaquettes) {
  check_beta(beta);
  check_plaquettes(plaquettes);
  if (plaquettes <= 2) return 0;
  const BesselRatios bessel(beta);
  const int last = bessel.last();
  double sum = 0, z = 0;
  for (int n = -last; n <= last; ++n) {
    // (1 / 2 pi I_0) int phi sin(n phi) exp(beta cos phi) and the same of phi^2 cos(n phi)
    double first = 0, second = 0;
    for (int m = -last; m <= last; ++m) {
      const int k = n + m;
      const double sign = k % 2 == 0 ? 1 : -1;
      first += k == 0 ? 0 : -sign * bessel(m) / k;
      second += bessel(m) * (k == 0 ? kPi * kPi / 3 : 2 * sign / (static_cast<double>(k) * k));
    }
    const double v = static_cast<double>(plaquettes);
    const double u = bessel(n);
    z += power(u, plaquettes);
    sum += power(u, plaquettes - 1) * second - (v - 1) * power(u, plaquettes - 2) * first * first;
  }
  return sum / (4 * kPi * kPi * z);
}

std::optional<double> exact_pure_gauge(const Geometry& geometry, double beta, Exact2d (*group)(double),
                                       const std::string& observable) {
  if (observable == "polyakov") return 0;
  if (beta > Exact2d::kMaxBeta || geometry.dimensions() != 2) return {};
  const auto& extents = geometry.extents();
  const auto plaquettes = static_cast<std::int64_t>(geometry.sites());
  // Both orientations, for the log has their average.
  const auto loop = [&](std::int64_t a, std::int64_t b) -> std::optional<double> {
    if (std::max(a, b) >= std::min(extents[0], extents[1])) return {};
    return group(beta).wilson_loop(a * b, plaquettes);
  };
  if (observable == kLogZ) return group(beta).log_z(plaquettes);
  if (observable == "plaquette") return loop(1, 1);
  if (observable == "wilson_1x2") return loop(1, 2);
  if (observable == "wilson_2x2") return loop(2, 2);
  if (observable == "wilson_3x3") return loop(3, 3);
  if (observable == "action") {
    return 0 - beta * static_cast<double>(plaquettes) * group(beta).average_plaquette(plaquettes);  // 0, never -0
  }
  return {};
}

}  // namespace flowloom
