#include "stats/ess.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace flowloom::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check_weight(double log_w) {
  if (std::isnan(log_w)) throw std::invalid_argument("A log weight is not a number.");
  if (log_w == kInfinity) throw std::invalid_argument("A log weight is +infinity.");
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
  for (const double l : log_w) {
    check_weight(l);
    s.max = std::max(s.max, l);
  }
  if (s.max == -kInfinity) return s;
  for (const double l : log_w) {
    const double w = std::exp(l - s.max);
    s.sum += w;
    s.sum_sq += w * w;
  }
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

bool is_valid_proposal(double log_p, double log_q) {
  return log_p < kInfinity && std::abs(log_q) < kInfinity && log_p - log_q < kInfinity;  // false for NaNs
}

double log_weight(double log_p, double log_q) { return is_valid_proposal(log_p, log_q) ? log_p - log_q : -kInfinity; }

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

void WeightAccumulator::add(double log_w) {
  check_weight(log_w);
  ++count_;
  if (log_w == -kInfinity) return;
  if (log_w > max_) {
    const double scale = std::exp(max_ - log_w);
    sum_ *= scale;
    sum_sq_ *= scale * scale;
    max_ = log_w;
  }
  const double w = std::exp(log_w - max_);
  sum_ += w;
  sum_sq_ += w * w;
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
