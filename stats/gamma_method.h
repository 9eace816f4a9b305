// Errors of Markov chain data: the Gamma method, U. Wolff, hep-lat/0306017.
//
// For N measurements a_i of a primary or (projected, see below) derived quantity
//   Gamma(t) = < (a_i - a)(a_{i+t} - a) >,     C(W) = Gamma(0) + 2 sum_{t=1}^{W} Gamma(t),
//   tau_int  = C / (2 Gamma(0)),               error^2 = C / N = 2 tau_int Gamma(0) / N.
// tau_int is in measurements; uncorrelated data have 1/2, and N / (2 tau_int) measurements are independent.
// The window W is the first at which the automatic rule (window.h) balances truncation against noise. C then
// gets the correction for the subtraction of the measured mean, Gamma(t) -> Gamma(t) + C / N.
//
// Special cases, all with `reliable` false:
//   - data without variance: error 0, tau_int 0.5, window 0. A chain that never moved looks like this;
//   - no window up to half of the shortest replica: that largest one is used;
//   - N below kMinTauInts tau_int: the errors are more likely too small than too large;
//   - fewer stretches of equal values than the independent measurements that the line above asks for, kMinTauInts / 2:
//     data have no more of these than of those. tau_int does not tell, being found from the same few: a chain that soon
//     came to where it stays has a short one;
//   - C <= 0 (strong anticorrelation): the naive error, tau_int 0.5, window 0.
//
// Slow tails: the rule assumes that tau_exp is about s tau_int. Independence Metropolis with a wide weight
// distribution breaks this (log-normal weights of sigma = 1, N = 2e5: tau_int 5 % low on average, three of
// its stated errors). Compare with tau_acc (acceptance.h), which has no window, and raise s.
//
// Pure functions. Bad arguments throw `invalid_argument`: no data, components of different length, fewer than
// two measurements in a replica, replica lengths that do not sum to N, entries that are not finite, s <= 0,
// an F that is not finite at the means or one step of the derivative away. Cost O(N W): Gamma(t) is computed
// only up to W and at most 15 lags more, up to 16 with each pass over the data. 1e7 measurements with W = 4350
// took 3.7 s on one core.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "stats/derived.h"

namespace flowloom::stats {

struct GammaOptions {
  // The ratio tau_exp / tau_int that the window rule assumes.
  double s = 1.5;
  // Independent chains, laid end to end in the data; empty means one chain.
  std::vector<std::size_t> replica_lengths = {};
};

struct GammaEstimate {
  double value = 0.0;
  double error = 0.0;
  double error_of_error = 0.0;  // error * sqrt((W + 1/2) / N)
  double variance = 0.0;        // Gamma(0) of one (projected) measurement
  double tau_int = 0.5;
  double tau_int_error = 0.0;  // 2 tau_int sqrt((W + 1/2 - tau_int) / N)
  std::size_t window = 0;      // W
  bool reliable = false;       // see the special cases above
  // Probability of a scatter between replicas at least this large, from R - 1 degrees of freedom:
  //   chi^2 = sum_r N_r (F_r - F)^2 / C
  // Tiny where chains sit in different modes. Absent for a single replica and for data without variance.
  std::optional<double> replica_q;
};

// The mean of one observable.
GammaEstimate gamma_method(std::span<const double> data, const GammaOptions& options = {});

// F of the means of several observables. The data are projected on the gradient of F at the means, a central
// difference with step h_alpha = sqrt(Gamma_alpha,alpha(0) / N); a component without variance does not
// contribute. With R >= 2 replicas the O(1/N) bias of F is removed from `value`, and from F_r in chi^2:
//   value = (R F - sum_r (N_r / N) F_r) / (R - 1)
GammaEstimate gamma_method(Components components, const DerivedQuantity& f, const GammaOptions& options = {});

}  // namespace flowloom::stats
