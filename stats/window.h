// What the Gamma method and its live counterpart share: Wolff's automatic window (hep-lat/0306017), and the
// shortest chain they trust.
#pragma once

#include <cmath>
#include <limits>

namespace flowloom::stats {

// Chains of fewer measurements than this many tau_int are not to be relied on. A convention, and a lenient
// one: tau_int is then known to some 40 %, and a chain that has seen one mode of two knows nothing of it.
inline constexpr double kMinTauInts = 50.0;

// Whether the sum of the autocorrelation function should stop at lag `window` (> 0), `tau_int` being the sum
// so far, with `count` measurements. True where the statistical error of one more lag outweighs what it leaves out:
//   g(W) = exp(-W / tau) - tau / sqrt(W N) < 0,   tau = s / ln[(2 tau_int + 1) / (2 tau_int - 1)]
// The guess behind it is tau_exp = s tau_int; s = 1.5 is usual, 1 to 2 sensible. On a chain that is short for
// its autocorrelation the second term is large and the window closes too early: a closed window is no proof
// of a long enough chain, hence kMinTauInts.
inline bool window_closes(double tau_int, double window, double count, double s) {
  const double tau =
      tau_int > 0.5 ? s / std::log((2.0 * tau_int + 1.0) / (2.0 * tau_int - 1.0)) : std::numeric_limits<double>::min();
  return std::exp(-window / tau) - tau / std::sqrt(window * count) < 0.0;
}

}  // namespace flowloom::stats
