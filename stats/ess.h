// Effective sample size and partition function from importance weights.
//
// Everywhere here log_w = -S(x) - log q(x), unnormalised: a constant added to all entries shifts log_z and
// leaves ess alone. An entry of -inf is a weight of zero. NaN and +inf throw `invalid_argument`, as do no
// entries at all and entries that are all -inf: the caller decides what an invalid proposal means.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "stats/estimate.h"

namespace flowloom::stats {

// False (a proposal is invalid) if log_p or log_q is NaN or +inf, or log_q is -inf, or their difference overflows to
// +inf. log_p = -inf is valid: a weight of zero.
inline bool is_valid_proposal(double log_p, double log_q) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return log_p < kInfinity && std::abs(log_q) < kInfinity && log_p - log_q < kInfinity;  // false for NaNs
}

// log_p - log_q, or -inf for an invalid proposal.
inline double log_weight(double log_p, double log_q) {
  return is_valid_proposal(log_p, log_q) ? log_p - log_q : -std::numeric_limits<double>::infinity();
}

// Kish's effective sample size of *model* samples x ~ q, as a fraction in [1/N, 1]:
//   ess = (sum w)^2 / (N sum w^2),  w = exp(log_w)
// Blind to modes that the model never visits, and then far too high: see ess_from_target. Log-normal weights
// of width sigma have ess = exp(-sigma^2).
double ess(std::span<const double> log_w);

// The same quantity from *target* samples x ~ p, such as a Markov chain's:
//   ess = 1 / (E_p[w] E_p[1/w]),  in (0, 1]
// A mode that the model neglects makes w huge there, hence ess small. A target sample always has p > 0, so
// -inf is an error here too.
double ess_from_target(std::span<const double> log_w);

// log Z = log of the mean weight of model samples, where Z = integral of exp(-S) (q is normalised). The error
// is the delta method's, sqrt((1/ess - 1) / N). The value is biased low by about (1/ess - 1) / (2 N).
Estimate log_z(std::span<const double> log_w);

// ess and log_z of a stream, in O(1) memory. Equals the batch figures to 1e-12: the sums are kept relative to
// the largest log weight so far, and rescaled when a larger one arrives. Order does not matter beyond
// rounding. One owner, no locks; give each thread its own and merge.
class WeightAccumulator {
 public:
  // Takes in the weights of model samples. NaN and +inf throw `invalid_argument` and change nothing.
  void add(std::span<const double> log_w);
  void add(double log_w) { add(std::span(&log_w, 1)); }

  // Afterwards as if every weight of `other` had been added here.
  void merge(const WeightAccumulator& other);

  // Samples so far, those of weight zero included.
  std::uint64_t count() const { return count_; }

  // As the functions above; `invalid_argument` while no sample has a positive weight.
  double ess() const;
  Estimate log_z() const;

  // Shows `visit` everything that is held here, field by field and always in the same order, to be saved or replaced.
  template <class Visit>
  void visit_state(Visit& visit) {
    visit(count_), visit(max_), visit(sum_), visit(sum_sq_);
  }

 private:
  std::uint64_t count_ = 0;
  double max_ = -std::numeric_limits<double>::infinity();
  double sum_ = 0.0;     // sum of exp(log_w - max_)
  double sum_sq_ = 0.0;  // sum of exp(2 (log_w - max_))
};

}  // namespace flowloom::stats
