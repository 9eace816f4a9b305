// Live autocorrelation: tau_int and the error of the mean of a running chain, in O(log N) memory.
//
// An *estimate*, for live displays; publish the figures of gamma_method.h, which sees the whole history.
// Where the window is below kChannels it is the Gamma method with one replica, to rounding. Beyond, it is the
// same sum seen through coarser and coarser blocks, and typically within a per cent of it.
//
// How it works. Level l holds the chain averaged in blocks of b = 2^l steps, and the sums for its
// autocovariance Gamma_b(t) at lags of t = 0 ... kChannels - 1 blocks (a multiple-tau correlator, as in
// Ramirez, Sukumaran, Vorselaars, Likhtman, J. Chem. Phys. 133 (2010) 154103). Plain multiple-tau reads
// Gamma(t) off the blocks and has to live with the smearing; but a *sum* over lags survives blocking:
//   C = b [ Gamma_b(0) + 2 sum_{t=1}^{W} Gamma_b(t) ]
// is the sum of the single-step Gamma over all lags, with weight one up to b W, then falling linearly to zero
// at b (W + 1). That is a window of b (W + 1/2) - 1/2 steps with soft edges, exact in everything else.
//
// The windowing rule is Wolff's (window.h), asked at each such window in increasing order: all lags of level
// 0, then the upper half of the lags of each further level. The first that closes is taken, so windows are
// resolved to one part in kChannels / 2. tau_int = C / (2 Gamma_0(0)) as always, with the same correction for
// the measured mean and the same errors of errors as the Gamma method. Only lags up to half of the chain
// count, and only blocks that are complete (the unfinished one is at most a kChannels-th of the chain).
//
// Repeated values, as Metropolis makes them, are ordinary data here: enter each chain step, not each new state.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace flowloom::stats {

struct LiveEstimate {
  double mean = 0.0;
  double error = 0.0;
  double error_of_error = 0.0;
  double variance = 0.0;  // of one step
  double tau_int = 0.5;   // in chain steps; 1/2 without correlation
  double tau_int_error = 0.0;
  double window = 0.0;  // in chain steps
  // False for a chain too short for its autocorrelation (no window, or fewer than kMinTauInts tau_int steps,
  // window.h), a chain that has not moved (error 0, tau_int 0.5), or strong anticorrelation (the naive error,
  // tau_int 0.5).
  bool reliable = false;
};

// Order matters, so there is no merge: one accumulator per chain and observable. One owner, no locks.
class MultiTau {
 public:
  // Lags per level. Memory is about 1 KiB per level, and log2(N) levels.
  static constexpr std::size_t kChannels = 32;

  // `s` is the ratio tau_exp / tau_int that the window rule assumes; `invalid_argument` unless it is positive.
  explicit MultiTau(double s = 1.5);

  // The next chain steps, one after another: to the last bit what the same steps give in any other portions. O(1)
  // amortised, and much faster in hundreds than one by one. NaN and infinities throw `invalid_argument` and change
  // nothing.
  void add(std::span<const double> steps);
  void add(double x) { add(std::span(&x, 1)); }

  // Chain steps so far.
  std::uint64_t count() const { return levels_.front().count; }

  // The current figures, in O(log N). Throws `invalid_argument` below two steps.
  LiveEstimate estimate() const;

  // Shows `visit` everything that is held here, field by field and always in the same order, to be saved or replaced.
  template <class Visit>
  void visit_state(Visit& visit) {
    visit(origin_);
    std::uint64_t levels = levels_.size();
    visit(levels);
    levels_.resize(std::clamp<std::uint64_t>(levels, 1, 64));  // of doubling blocks: more than a counter can hold
    for (Level& level : levels_) {
      visit(level.count), visit(level.sum), visit(level.products), visit(level.first), visit(level.latest);
      visit(level.pending), visit(level.has_pending);
    }
  }

 private:
  struct Level {
    std::uint64_t count = 0;
    double sum = 0.0;
    // [t]: sum over i of x_i x_{i+t}.
    std::array<double, kChannels> products{};
    // The first values, in order.
    std::array<double, kChannels> first{};
    // The value t steps back; zero before there was one.
    std::array<double, kChannels> latest{};
    double pending = 0.0;  // the first half of a block of the next level
    bool has_pending = false;

    // n values, with room for kChannels before them.
    void push(double* values, std::size_t n);
    // Makes of n > 0 values those of the next level; returns how many.
    std::size_t halve(const double* values, std::size_t n, double* means);
    double mean() const { return sum / static_cast<double>(count); }
    // autocovariances()[t] for t < min(kChannels, count), about the mean of this level's blocks.
    std::array<double, kChannels> autocovariances() const;
  };

  double s_;
  // The first value. Subtracted from all, or the products of large means would drown the covariance.
  double origin_ = 0.0;
  std::vector<Level> levels_;
};

}  // namespace flowloom::stats
