// Exact results of pure gauge theory on the periodic lattice in two dimensions: what chains there have to give.
//
// The weight of one plaquette P in the representation of N x N matrices (N = 1: U(1), where Re tr P = cos of the
// angle), expanded in the characters of the irreducible representations r, of dimension d_r,
//
//   exp((beta / N) Re tr P) = sum_r d_r u_r c_0 chi_r(P)
//   u_r c_0 = (1 / d_r) int dP chi_r(P)^* exp((beta / N) Re tr P)
//
// with c_0 that of the trivial one, so that u_0 = 1 and 0 <= u_r <= 1. On a torus of V plaquettes (Migdal's recursion;
// Drouffe and Zuber, Phys. Rept. 102 (1983) 1)
//
//   Z = c_0^V sum_r u_r^V                                       with respect to the Haar measure of all links
//   W(A) = (1 / (N Z)) c_0^V sum_r sum_{s in r x fundamental} (d_s / d_r) u_r^{V-A} u_s^A
//
// W(A) is the mean of Re tr / N of the product around any A plaquettes that make a disc: the torus is exact, sizes
// included. The lattice's shape does not matter, only V.
//
// beta is in [0, kMaxBeta], V at least 1, A in [0, V]; else `kInvalidInput`. Measured against 40 digits, beta from 0.1
// to 50, V from 1 to 16384, A from 1 to 7: W is off by at most 4.2e-13 (by 3.8e-15 up to beta = 20), log Z by 4.6e-15
// of V + |log Z|.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lattice/geometry.h"
#include "lattice/observable.h"

namespace flowloom {

class Exact2d {
 public:
  static constexpr double kMaxBeta = 50;

  static Exact2d u1(double beta);   // S = -beta sum cos P
  static Exact2d su2(double beta);  // S = -(beta / 2) sum Re tr P
  static Exact2d su3(double beta);  // S = -(beta / 3) sum Re tr P

  double log_z(std::int64_t plaquettes) const;
  double wilson_loop(std::int64_t area, std::int64_t plaquettes) const;

  // <Re tr P> / N, which is W(1) and (1 / V) d log Z / d beta.
  double average_plaquette(std::int64_t plaquettes) const { return wilson_loop(1, plaquettes); }

 private:
  struct Irrep {
    double dimension;
    double ratio;  // u_r
    // Where the irreducible parts of r x fundamental lie in the list; -1: none, or beyond what is kept.
    std::array<int, 3> times_fundamental;
  };

  Exact2d(double colours, double log_c0, std::vector<Irrep> irreps);
  double sum_of_powers(std::int64_t plaquettes) const;

  double colours_;
  double log_c0_;
  std::vector<Irrep> irreps_;  // all but what is lost beside 1 in sum_r u_r
};

// U(1): the topological susceptibility <Q^2> / V with Q = (1 / 2 pi) sum of the plaquettes' angles in [-pi, pi). Off by
// at most 2e-17, in the same measurement: by much of itself where it is as small. 0 for V = 1 and V = 2, where P = 1
// and where the two are each other's inverse.
double u1_susceptibility(double beta, std::int64_t plaquettes);

// The mean of a pure gauge theory's observable of this name on this lattice, `group` being one of the above; nothing
// where there is no formula, beta > kMaxBeta, or the Wilson loop is not smaller than the lattice. polyakov: 0, by the
// centre. kLogZ is by the Haar measure.
std::optional<double> exact_pure_gauge(const Geometry& geometry, double beta, Exact2d (*group)(double),
                                       const std::string& observable);

}  // namespace flowloom
