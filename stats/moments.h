// Mean and variance, streaming and in one go.
//
// Variance is the unbiased one, sum (x - mean)^2 / (n - 1). It knows nothing of autocorrelation: the error of
// the mean of a Markov chain comes from gamma_method.h, or live from multi_tau.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>

namespace flowloom::stats {

// Streaming mean and variance in O(1) memory (Welford's update, Chan's merge): immune to the cancellation
// that ruins sum(x^2) - n mean^2. Order does not matter beyond rounding. One owner, no locks.
class Moments {
 public:
  // Takes in one value. NaN and infinities throw `invalid_argument` and change nothing.
  void add(double x) {
    if (!std::isfinite(x)) throw std::invalid_argument("A value is not a finite number.");
    ++count_;
    const double delta = x - mean_;
    mean_ += delta / static_cast<double>(count_);
    sum_sq_ += delta * (x - mean_);
  }

  // Afterwards as if every value of `other` had been added here. Merging with itself doubles every value.
  void merge(const Moments& other) {
    if (other.count_ == 0) return;
    const double n = static_cast<double>(count_);
    const double m = static_cast<double>(other.count_);
    const double delta = other.mean_ - mean_;
    sum_sq_ += other.sum_sq_ + delta * delta * (n * m / (n + m));
    mean_ += delta * (m / (n + m));
    count_ += other.count_;
  }

  std::uint64_t count() const { return count_; }

  // Throws `invalid_argument` while empty.
  double mean() const {
    if (count_ == 0) throw std::invalid_argument("A mean needs at least one value.");
    return mean_;
  }

  // Throws `invalid_argument` below two values.
  double variance() const {
    if (count_ < 2) throw std::invalid_argument("A variance needs at least two values.");
    return sum_sq_ / static_cast<double>(count_ - 1);
  }

 private:
  std::uint64_t count_ = 0;
  double mean_ = 0.0;
  double sum_sq_ = 0.0;  // of the deviations from mean_
};

// The batch figures, in two passes: the second one removes the rounding error of the first mean.
inline double mean(std::span<const double> x) {
  if (x.empty()) throw std::invalid_argument("A mean needs at least one value.");
  const double n = static_cast<double>(x.size());
  double sum = 0.0;
  for (const double v : x) sum += v;
  const double rough = sum / n;
  double rest = 0.0;
  for (const double v : x) rest += v - rough;
  const double result = rough + rest / n;
  if (!std::isfinite(result)) throw std::invalid_argument("A value is not a finite number.");
  return result;
}

inline double variance(std::span<const double> x) {
  if (x.size() < 2) throw std::invalid_argument("A variance needs at least two values.");
  const double centre = mean(x);
  double sum_sq = 0.0;
  for (const double v : x) sum_sq += (v - centre) * (v - centre);
  return sum_sq / static_cast<double>(x.size() - 1);
}

}  // namespace flowloom::stats
