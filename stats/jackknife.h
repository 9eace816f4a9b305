// Binned jackknife of a derived quantity.
//
// Simpler than the Gamma method, and the choice where F is not smooth enough for a derivative (fits,
// effective masses). The price: bins must be much longer than tau_int, or the error comes out too small; too
// few bins make it noisy, to a relative 1 / sqrt(2 (bins - 1)).
//
// With bins of m_j measurements, g of them, N in all, F_(j) the value without bin j and h_j = N / m_j:
//   pseudo-values  P_j = h_j F - (h_j - 1) F_(j),   F_J = sum_j (m_j / N) P_j,
//   bias = F - F_J,   error^2 = (1 / g) sum_j (P_j - F_J)^2 / (h_j - 1)
// (Busing, Meijer, van der Leeden, Statistics and Computing 9 (1999) 3). Equal bins give the familiar
//   error^2 = (g - 1) / g sum_j (F_(j) - <F_(j)>)^2,   bias = (g - 1) (<F_(j)> - F)
#pragma once

#include <cstddef>

#include "stats/derived.h"

namespace flowloom::stats {

// How to cut the chain into contiguous bins. No measurement is dropped: bin sizes differ by at most one.
class Bins {
 public:
  // This many bins.
  static Bins of_count(std::size_t count) { return Bins(count, 0); }
  // As many bins as there can be with at least `size` measurements in each.
  static Bins of_size(std::size_t size) { return Bins(0, size); }

  // The number of bins for N measurements; `invalid_argument` unless it is at least 2 and at most N.
  std::size_t count_for(std::size_t measurements) const;

 private:
  Bins(std::size_t count, std::size_t size) : count_(count), size_(size) {}

  std::size_t count_;  // zero: size_ decides
  std::size_t size_;
};

struct JackknifeEstimate {
  double value = 0.0;  // F of all means; not corrected for `bias`
  double error = 0.0;
  double bias = 0.0;  // estimate of E[value] - truth, to order 1/N
  std::size_t bins = 0;
};

// Bad arguments throw `invalid_argument`: no or too few data, components of different length, entries that
// are not finite, fewer than two bins, an F that is not finite.
JackknifeEstimate jackknife(Components components, const DerivedQuantity& f, Bins bins);

}  // namespace flowloom::stats
