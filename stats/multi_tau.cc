#include "stats/multi_tau.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "stats/window.h"

namespace flowloom::stats {

MultiTau::MultiTau(double s) : s_(s), levels_(1) {
  if (!(s > 0.0) || !std::isfinite(s)) throw std::invalid_argument("The window parameter s must be positive.");
}

void MultiTau::Level::push(double x) {
  newest = (newest + kChannels - 1) % kChannels;
  latest[newest] = x;
  latest[newest + kChannels] = x;
  if (count < kChannels) first[count] = x;
  ++count;
  sum += x;
  // Before the ring is full, the missing values are zeros and add nothing.
  const double* const back = latest.data() + newest;
  for (std::size_t t = 0; t < kChannels; ++t) products[t] += x * back[t];
}

std::array<double, MultiTau::kChannels> MultiTau::Level::autocovariances() const {
  std::array<double, kChannels> gamma{};
  const double m = mean();
  double without_last = sum;   // sum of x_1 ... x_{n-t}
  double without_first = sum;  // sum of x_{1+t} ... x_n
  for (std::size_t t = 0; t < kChannels && t < count; ++t) {
    const double pairs = static_cast<double>(count - t);
    gamma[t] = (products[t] - m * (without_last + without_first)) / pairs + m * m;
    without_last -= latest[newest + t];
    without_first -= first[t];
  }
  return gamma;
}

void MultiTau::add_shifted(double x) {
  for (std::size_t l = 0;; ++l) {
    if (l == levels_.size()) levels_.emplace_back();
    Level& level = levels_[l];
    level.push(x);
    level.has_pending = !level.has_pending;
    if (level.has_pending) {
      level.pending = x;
      return;
    }
    x = 0.5 * (level.pending + x);
  }
}

void MultiTau::add(double x) { add(x, 1); }

void MultiTau::add(double x, std::uint64_t multiplicity) {
  if (!std::isfinite(x)) throw std::invalid_argument("A value is not a finite number.");
  if (multiplicity == 0) return;
  if (count() == 0) origin_ = x;
  const double shifted = x - origin_;
  for (std::uint64_t i = 0; i < multiplicity; ++i) add_shifted(shifted);
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
