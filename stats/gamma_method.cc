#include "stats/gamma_method.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

#include "stats/clones.h"
#include "stats/moments.h"
#include "stats/window.h"

namespace flowloom::stats {
namespace {

std::vector<std::size_t> checked_replicas(const GammaOptions& options, std::size_t count) {
  if (!(options.s > 0.0) || !std::isfinite(options.s)) {
    throw std::invalid_argument("The window parameter s must be positive.");
  }
  if (options.replica_lengths.empty()) return {count};
  std::size_t left = count;
  for (const std::size_t length : options.replica_lengths) {
    if (length < 2) throw std::invalid_argument("A replica needs at least two measurements.");
    if (length > left) throw std::invalid_argument("The replica lengths exceed the number of measurements.");
    left -= length;
  }
  if (left != 0) throw std::invalid_argument("The replica lengths do not cover all measurements.");
  return options.replica_lengths;
}

// Independent partial sums: a single one would wait for each addition, and the compiler may not reorder them.
constexpr std::size_t kLanes = 8;
using Lanes = std::array<double, kLanes>;

constexpr std::size_t kBlock = 2048;  // measurements, a multiple of kLanes: what stays in the nearest caches
constexpr std::size_t kLags = 16;     // at most, that one pass over the data serves

// Adds the products of x[0 ... n - 1] and y[0 ... n - 1], n a multiple of kLanes.
FLOWLOOM_EVERY_WIDTH
void add_lagged(Lanes& lanes, const double* x, const double* y, std::size_t n) {
  Lanes sums = lanes;
  for (std::size_t i = 0; i < n; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) sums[j] += x[i + j] * y[i + j];
  }
  lanes = sums;
}

// Adds the sums of x[i] x[i + t] over one replica, for the lags t = first, first + 1, ... The order of each lag's
// additions does not depend on which others are computed with it.
void add_replica(std::span<double> sums, const double* x, std::size_t length, std::size_t first) {
  std::array<Lanes, kLags> lanes{};
  const auto whole = [&](std::size_t k) { return (length - first - k) / kLanes * kLanes; };
  for (std::size_t block = 0; block < whole(0); block += kBlock) {
    for (std::size_t k = 0; k < sums.size() && block < whole(k); ++k) {
      add_lagged(lanes[k], x + block, x + block + first + k, std::min(kBlock, whole(k) - block));
    }
  }
  for (std::size_t k = 0; k < sums.size(); ++k) {
    double rest = 0.0;
    for (std::size_t i = whole(k); i + first + k < length; ++i) rest += x[i] * x[i + first + k];
    sums[k] += std::accumulate(lanes[k].begin(), lanes[k].end(), rest);
  }
}

// Gamma(first), Gamma(first + 1), ... of centred data, at most kLags of them.
void autocovariances(std::span<double> gammas, std::span<const double> centred, std::span<const std::size_t> replicas,
                     std::size_t first) {
  std::ranges::fill(gammas, 0.0);
  const double* start = centred.data();
  for (const std::size_t length : replicas) {
    add_replica(gammas, start, length, first);
    start += length;
  }
  for (std::size_t k = 0; k < gammas.size(); ++k) {
    gammas[k] /= static_cast<double>(centred.size() - replicas.size() * (first + k));
  }
}

// Chi-squared tail probability: Q(a, x) with a = dof / 2, x = chi_sq / 2 climbs from Q(1/2, x) = erfc(sqrt x)
// or Q(1, x) = exp(-x) by Q(a + 1, x) = Q(a, x) + x^a exp(-x) / Gamma(a + 1).
double chi_squared_q(double chi_sq, std::size_t dof) {
  const double x = 0.5 * chi_sq;
  const bool odd = dof % 2 == 1;
  double q = odd ? std::erfc(std::sqrt(x)) : std::exp(-x);
  double term = odd ? 2.0 * std::sqrt(x / std::numbers::pi) * std::exp(-x) : x * std::exp(-x);
  for (double a = odd ? 1.5 : 2.0; a <= 0.5 * static_cast<double>(dof); a += 1.0) {
    q += term;
    term *= x / a;
  }
  return std::min(q, 1.0);
}

// Stretches of equal values, each within a replica.
std::size_t count_runs(std::span<const double> data, std::span<const std::size_t> replicas) {
  std::size_t runs = 0;
  const double* start = data.data();
  for (const std::size_t length : replicas) {
    for (std::size_t i = 0; i < length; ++i) runs += i == 0 || start[i] != start[i - 1];
    start += length;
  }
  return runs;
}

// Everything but `value` and `replica_q`, from centred (projected) data. Returns C, zero without variance.
double analyse(std::span<const double> centred, std::span<const std::size_t> replicas, double s, GammaEstimate& out) {
  const double n = static_cast<double>(centred.size());
  const std::size_t max_window = *std::min_element(replicas.begin(), replicas.end()) / 2;
  std::array<double, kLags> gammas;
  autocovariances(std::span(gammas).first(1), centred, replicas, 0);
  const double gamma_0 = gammas[0];
  out.variance = gamma_0;
  if (gamma_0 == 0.0) return 0.0;

  double c = gamma_0;
  bool closed = false;
  for (std::size_t lags = 1; out.window < max_window && !closed; lags = std::min(2 * lags, kLags)) {
    const auto next = std::span(gammas).first(std::min(lags, max_window - out.window));
    autocovariances(next, centred, replicas, out.window + 1);
    for (std::size_t k = 0; k < next.size() && !closed; ++k) {
      ++out.window;
      c += 2.0 * next[k];
      closed = window_closes(c / (2.0 * gamma_0), static_cast<double>(out.window), n, s);
    }
  }
  if (c <= 0.0) {
    out.window = 0;
    closed = false;
    c = gamma_0;
  }
  const double w = static_cast<double>(out.window);
  out.variance = gamma_0 + c / n;
  c += (2.0 * w + 1.0) * c / n;
  out.tau_int = c / (2.0 * out.variance);
  const bool moved = static_cast<double>(count_runs(centred, replicas)) >= kMinTauInts / 2;
  out.reliable = closed && n >= kMinTauInts * out.tau_int && moved;
  out.tau_int_error = 2.0 * out.tau_int * std::sqrt(std::max(0.0, w + 0.5 - out.tau_int) / n);
  out.error = std::sqrt(c / n);
  out.error_of_error = out.error * std::sqrt((w + 0.5) / n);
  return c;
}

// Data projected on the gradient of F at the means, centred.
std::vector<double> project(Components components, const DerivedQuantity& f, std::vector<double> means) {
  const std::size_t count = components.front().size();
  const double n = static_cast<double>(count);
  std::vector<double> projected(count, 0.0);
  for (std::size_t alpha = 0; alpha < components.size(); ++alpha) {
    const double centre = means[alpha];
    const double gamma_0 = variance(components[alpha]) * (n - 1.0) / n;
    const double h = std::sqrt(gamma_0 / n);
    // Also where h is lost in the rounding of the mean: such a component is constant for all we can tell.
    if (centre + h == centre) continue;
    const double right = centre + h;
    const double left = centre - h;
    means[alpha] = right;
    const double up = evaluate(f, means);
    means[alpha] = left;
    const double down = evaluate(f, means);
    means[alpha] = centre;
    // Divided by the step as rounded, so that a linear F has its exact slope.
    const double slope = (up - down) / (right - left);
    for (std::size_t i = 0; i < count; ++i) projected[i] += slope * (components[alpha][i] - centre);
  }
  return projected;
}

std::vector<double> replica_values(Components components, const DerivedQuantity& f,
                                   std::span<const std::size_t> replicas) {
  std::vector<double> values;
  std::vector<double> means(components.size());
  std::size_t start = 0;
  for (const std::size_t length : replicas) {
    for (std::size_t alpha = 0; alpha < components.size(); ++alpha) {
      means[alpha] = mean(components[alpha].subspan(start, length));
    }
    values.push_back(evaluate(f, means));
    start += length;
  }
  return values;
}

}  // namespace

GammaEstimate gamma_method(std::span<const double> data, const GammaOptions& options) {
  return gamma_method(Components(&data, 1), [](std::span<const double> means) { return means[0]; }, options);
}

GammaEstimate gamma_method(Components components, const DerivedQuantity& f, const GammaOptions& options) {
  check_components(components);
  const std::vector<std::size_t> replicas = checked_replicas(options, components.front().size());
  const std::vector<double> means = component_means(components);

  GammaEstimate out;
  out.value = evaluate(f, means);
  const double c = analyse(project(components, f, means), replicas, options.s, out);
  if (replicas.size() < 2) return out;

  // F_r carries the bias b N / N_r where F carries b, which is what the two averages below differ by.
  const double n = static_cast<double>(components.front().size());
  const std::vector<double> values = replica_values(components, f, replicas);
  double average = 0.0;
  for (std::size_t r = 0; r < values.size(); ++r) average += static_cast<double>(replicas[r]) / n * values[r];
  const double bias = (average - out.value) / static_cast<double>(replicas.size() - 1);
  out.value -= bias;
  if (c <= 0.0) return out;

  double chi_sq = 0.0;
  for (std::size_t r = 0; r < values.size(); ++r) {
    const double length = static_cast<double>(replicas[r]);
    const double deviation = values[r] - bias * n / length - out.value;
    chi_sq += length * deviation * deviation / c;
  }
  out.replica_q = chi_squared_q(chi_sq, replicas.size() - 1);
  return out;
}

}  // namespace flowloom::stats
