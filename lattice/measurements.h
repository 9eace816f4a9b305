// What is measured on a configuration itself: `flowloom measure` on a chain, `flowloom reference --measure` on plain
// MCMC. The log has none of it, for it would make drawing slower or the log wider. A theory that has some says here
// what.
//
// Time is the lattice's last direction, T its extent, V the number of sites.
//
//   phi^4      correlator_t   G(t) = (1/V) sum_t0 S(t0) S(t0 + t), S(t) the sum of phi over the slice t: the two-point
//                             function at zero momentum, whose sum over all T times is chi_2
//   Schwinger  condensate     of one flavour, -(1/V) Re tr D^-1 (lattice/wilson_2d.h)
//              pion_t         sum_x tr[D^-1(x, y) D^-1(x, y)^+] over the sites x of a slice t away from y, averaged
//                             over all y
//
// Correlators are given for 0 <= t <= T/2, averaged over t and T - t.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "lattice/theories.h"

namespace flowloom {

struct Measurements {
  std::vector<Quantity> quantities;  // empty: the log has all that is measured of this theory
  // Their values for a configuration. May be called by several threads at once.
  std::function<std::vector<double>(std::span<const double> field)> of;
};

Measurements theory_measurements(const AnyTheory& theory);

}  // namespace flowloom
