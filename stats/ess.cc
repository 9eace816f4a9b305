#include "stats/ess.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <tuple>

#include "math/arrays.h"
#include "math/elementary.h"

namespace flowloom::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check_weight(double log_w) {
  if (std::isnan(log_w)) throw std::invalid_argument("A log weight is not a number.");
  if (log_w == kInfinity) throw std::invalid_argument("A log weight is +infinity.");
}

double largest(std::span<const double> log_w) {
  double max = -kInfinity;
  for (const double l : log_w) {
    check_weight(l);
    max = std::max(max, l);
  }
  return max;
}

// Sums of weights and of squared weights, relative to the largest weight.
struct Sums {
  double count = 0.0;
  double max = -kInfinity;
  double sum = 0.0;
  double sum_sq = 0.0;
};

Sums sums_of(std::span<const double> log_w) {
  Sums s{.count = static_cast<double>(log_w.size())};
  s.max = largest(log_w);
  if (s.max == -kInfinity) return s;
  std::tie(s.sum, s.sum_sq) = sum_exp(log_w, s.max);
  return s;
}

void check_sums(const Sums& s) {
  if (s.count == 0.0) throw std::invalid_argument("There are no log weights.");
  if (s.max == -kInfinity) throw std::invalid_argument("All weights are zero.");
}

double ess_of(const Sums& s) {
  check_sums(s);
  // Rounding may lift equal weights above one.
  return std::min(1.0, s.sum / s.count * (s.sum / s.sum_sq));
}

Estimate log_z_of(const Sums& s) {
  const double fraction = ess_of(s);
  return {s.max + std::log(s.sum / s.count), std::sqrt((1.0 / fraction - 1.0) / s.count)};
}

}  // namespace

double ess(std::span<const double> log_w) { return ess_of(sums_of(log_w)); }

Estimate log_z(std::span<const double> log_w) { return log_z_of(sums_of(log_w)); }

double ess_from_target(std::span<const double> log_w) {
  if (log_w.empty()) throw std::invalid_argument("There are no log weights.");
  double max = -kInfinity;
  double min = kInfinity;
  for (const double l : log_w) {
    check_weight(l);
    if (l == -kInfinity) throw std::invalid_argument("A target sample has a log weight of -infinity.");
    max = std::max(max, l);
    min = std::min(min, l);
  }
  double sum = 0.0;
  double sum_inverse = 0.0;
  for (const double l : log_w) {
    sum += std::exp(l - max);
    sum_inverse += std::exp(min - l);
  }
  const double n = static_cast<double>(log_w.size());
  return std::min(1.0, std::exp(min - max + 2.0 * std::log(n) - std::log(sum) - std::log(sum_inverse)));
}

void WeightAccumulator::add(std::span<const double> log_w) {
  const double max = largest(log_w);
  count_ += log_w.size();
  if (max == -kInfinity) return;
  if (max > max_) {
    const double scale = exp(max_ - max);
    sum_ *= scale;
    sum_sq_ *= scale * scale;
    max_ = max;
  }
  const auto [sum, sum_sq] = sum_exp(log_w, max_);
  sum_ += sum;
  sum_sq_ += sum_sq;
}

void WeightAccumulator::merge(const WeightAccumulator& other) {
  count_ += other.count_;
  if (other.max_ == -kInfinity) return;
  const double max = std::max(max_, other.max_);
  const double mine = std::exp(max_ - max);
  const double theirs = std::exp(other.max_ - max);
  sum_ = sum_ * mine + other.sum_ * theirs;
  sum_sq_ = sum_sq_ * mine * mine + other.sum_sq_ * theirs * theirs;
  max_ = max;
}

double WeightAccumulator::ess() const { return ess_of({static_cast<double>(count_), max_, sum_, sum_sq_}); }

Estimate WeightAccumulator::log_z() const { return log_z_of({static_cast<double>(count_), max_, sum_, sum_sq_}); }

}  // namespace flowloom::stats
