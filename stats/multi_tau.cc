#include "stats/multi_tau.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "math/arrays.h"
#include "stats/clones.h"
#include "stats/window.h"

namespace flowloom::stats {
namespace {

constexpr std::size_t kChannels = MultiTau::kChannels;
constexpr std::size_t kPortion = 1024;  // values that are taken in at once

// Adds values[0 ... n - 1] to `sum` and the products of each with itself and the kChannels - 1 before it, which lie
// before `values` too, to `products`; in order, so with the same bits on every instruction set.
FLOWLOOM_EVERY_WIDTH
void add_products(double* products, double& sum, const double* values, std::size_t n) {
  std::array<double, kChannels> p;  // the farthest first, as the values lie
  std::reverse_copy(products, products + kChannels, p.begin());
  double s = sum;
  for (std::size_t i = 0; i < n; ++i) {
    const double x = values[i];
    const double* const farthest = values + i + 1 - kChannels;
    for (std::size_t j = 0; j < kChannels; ++j) p[j] += x * farthest[j];
    s += x;
  }
  sum = s;
  std::reverse_copy(p.begin(), p.end(), products);
}

}  // namespace

MultiTau::MultiTau(double s) : s_(s), levels_(1) {
  if (!(s > 0.0) || !std::isfinite(s)) throw std::invalid_argument("The window parameter s must be positive.");
}

void MultiTau::Level::push(double* values, std::size_t n) {
  std::reverse_copy(latest.begin(), latest.end(), values - kChannels);
  add_products(products.data(), sum, values, n);
  for (std::size_t i = 0; i < n && count + i < kChannels; ++i) first[count + i] = values[i];
  count += n;
  std::reverse_copy(values + n - kChannels, values + n, latest.begin());
}

std::size_t MultiTau::Level::halve(const double* __restrict values, std::size_t n, double* __restrict means) {
  if (has_pending) {
    *means++ = 0.5 * (pending + *values++);
    --n;
  }
  for (std::size_t i = 0; i < n / 2; ++i) means[i] = 0.5 * (values[2 * i] + values[2 * i + 1]);
  const std::size_t blocks = n / 2 + has_pending;
  has_pending = n % 2 != 0;
  pending = has_pending ? values[n - 1] : 0.0;
  return blocks;
}

std::array<double, MultiTau::kChannels> MultiTau::Level::autocovariances() const {
  std::array<double, kChannels> gamma{};
  const double m = mean();
  double without_last = sum;   // sum of x_1 ... x_{n-t}
  double without_first = sum;  // sum of x_{1+t} ... x_n
  for (std::size_t t = 0; t < kChannels && t < count; ++t) {
    const double pairs = static_cast<double>(count - t);
    gamma[t] = (products[t] - m * (without_last + without_first)) / pairs + m * m;
    without_last -= latest[t];
    without_first -= first[t];
  }
  return gamma;
}

void MultiTau::add(std::span<const double> steps) {
  if (!all_below(steps, std::numeric_limits<double>::infinity()))
    throw std::invalid_argument("A value is not a finite number.");
  if (count() == 0 && !steps.empty()) origin_ = steps.front();
  for (std::size_t begin = 0; begin < steps.size(); begin += kPortion) {
    std::array<double, kChannels + kPortion> room, next_room;
    double* values = room.data() + kChannels;
    double* next = next_room.data() + kChannels;
    std::size_t n = std::min(kPortion, steps.size() - begin);
    for (std::size_t i = 0; i < n; ++i) values[i] = steps[begin + i] - origin_;
    for (std::size_t l = 0; n > 0; ++l) {
      if (l == levels_.size()) levels_.emplace_back();
      levels_[l].push(values, n);
      n = levels_[l].halve(values, n, next);
      std::swap(values, next);
    }
  }
}

LiveEstimate MultiTau::estimate() const {
  const Level& finest = levels_.front();
  if (finest.count < 2) throw std::invalid_argument("An error needs at least two chain steps.");
  const double n = static_cast<double>(finest.count);
  const double gamma_0 = finest.autocovariances()[0];

  LiveEstimate out{.mean = origin_ + finest.mean(), .variance = gamma_0};
  if (!(gamma_0 > 0.0)) {
    out.variance = 0.0;
    return out;
  }

  bool closed = false;
  double c = gamma_0;
  double block = 1.0;
  for (std::size_t l = 0; l < levels_.size() && !closed; ++l, block *= 2.0) {
    const auto gamma = levels_[l].autocovariances();
    const std::size_t largest = std::min<std::uint64_t>(kChannels - 1, levels_[l].count / 2);
    const std::size_t smallest = l == 0 ? 1 : kChannels / 2;
    double sum = gamma[0];
    for (std::size_t t = 1; t <= largest && !closed; ++t) {
      sum += 2.0 * gamma[t];
      if (t < smallest) continue;
      c = block * sum;
      out.window = block * (static_cast<double>(t) + 0.5) - 0.5;
      closed = window_closes(c / (2.0 * gamma_0), out.window, n, s_);
    }
  }
  if (c <= 0.0) {
    out.window = 0.0;
    closed = false;
    c = gamma_0;
  }
  out.variance = gamma_0 + c / n;
  c += (2.0 * out.window + 1.0) * c / n;
  out.tau_int = c / (2.0 * out.variance);
  out.reliable = closed && n >= kMinTauInts * out.tau_int;
  out.tau_int_error = 2.0 * out.tau_int * std::sqrt(std::max(0.0, out.window + 0.5 - out.tau_int) / n);
  out.error = std::sqrt(c / n);
  out.error_of_error = out.error * std::sqrt((out.window + 0.5) / n);
  return out;
}

}  // namespace flowloom::stats
