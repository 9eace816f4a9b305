// Wilson fermions in two dimensions on U(1) links: log|det D|, its slopes, the condensate and the pion's correlator.
//
// D acts on psi(x, spin), x = (x0, x1) on L0 x L1 sites, direction 0 being space and 1 time. U_mu(x) = exp(i theta_mu(x)) leads
// from x to x + mu. With s_0 and s_1 Pauli's first and second matrix, in lattice units (physics: arXiv:2202.11712),
//
//   (D psi)(x) = (m + 2) psi(x) - 1/2 sum_mu [ (1 - s_mu) U_mu(x) psi(x + mu) + (1 + s_mu) U_mu(x - mu)* psi(x - mu) ]
//
// psi is periodic in space and antiperiodic in time: inside D, and nowhere else, U_1 of the last time slice has the opposite sign.
// kappa = 1 / (2 m + 4). g D g = D^+ with g = -i s_0 s_1, so that det D is real; two degenerate flavours weigh exp(2 log|det D|).
//
// Method: elimination of one time slice after the other, the last one kept. In the basis where s_1 = diag(1, -1) a slice is
//
//   A = [ B  C ]   with   B = m + 2 - (H + H^+) / 2,   C = (H - H^+) / 2,   H psi(x0) = U_0(x0) psi(x0 + 1),
//       [ C  B ]
//
// and hopping forwards, -U_1, leaves the lower spin component and arrives at the lower one; backwards, -U_1^+, likewise the
// upper. So eliminating the slices before t changes of slice t's matrix only the block that leads from the lower component to
// the upper, C - W, and what couples t to the last slice is one block, f, in two places. B and C commute (both are functions of
// H, which is a cyclic shift once the links of a slice but one are gauged away), so that what is divided by B costs two
// sweeps along a line; what remains is one inverse and two products of L0 x L0 matrices per slice: O(L0^3 L1).
//
// Nothing is pivoted. For m >= 0 nothing needs to be: the Hermitian part of D is positive, therefore that of every pivot. Below,
// it is measured to be as good (tests/unit/lattice_wilson_2d_test.cc): the largest error of log|det D| against a pivoted dense
// elimination is ERRORS. A pivot is small where a slice with open boundaries has a zero
// mode, which for m below criticality happens by chance: where it is of size e, the error grows like 1e-16 / e. If D itself is singular, or a
// link is not finite, the result is a NaN or -infinity.
//
// Everything is a template on values (math/value.h), with no branch on one and no allocation: the caller lends the workspace.
// Pure, so threads need only own workspaces.
#pragma once

#include <array>
#include <cstddef>

#include "math/elementary.h"

#ifndef FLOWLOOM_FLATTEN
#define FLOWLOOM_FLATTEN  // math/lanes: inlines all that is called
#endif

namespace flowloom {

// What a workspace is for.
enum class Wilson2dUse { kLogDet, kSlopes, kPion };

// The operator, without its links. Immutable and trivially copyable.
class Wilson2d {
 public:
  static constexpr std::size_t kMostSpace = 64;

  // Throws `kInvalidInput` unless 1 <= space <= kMostSpace, 1 <= time and -1 < mass <= 1e6 (at -1, B is singular).
  Wilson2d(std::size_t space, std::size_t time, double mass);

  constexpr std::size_t space() const { return space_; }
  constexpr std::size_t time() const { return time_; }
  constexpr std::size_t sites() const { return space_ * time_; }
  constexpr double mass() const { return mass_; }

  // 1/B of an endless line is lambda^|n| / sinh alpha between sites n apart, and C/B is sign(n) lambda^|n|, where
  // cosh alpha = m + 2 and lambda = e^-alpha.
  constexpr double decay(std::size_t n) const { return decay_[n]; }  // lambda^n, n <= space
  constexpr double inverse_sinh() const { return inverse_sinh_; }
  // log|det B| of all slices but the last, without log|1 - lambda^L0 (product of the slice's U_0)|^2 of each.
  constexpr double log_det_of_lines() const { return log_det_of_lines_; }

  // Numbers of each sample in a workspace.
  constexpr std::size_t workspace(Wilson2dUse use) const {
    const std::size_t n = space_, matrices = 3 * slices_kept(use) + scratch_matrices(use);
    const std::size_t rows = use == Wilson2dUse::kPion ? 2 * time_ * n * (2 * n | 1) : 0;
    return 2 * (time_ * (n + 2) + 2 * n + 2 * n * 4 + matrices * n * (n | 1) + 2 * n * (2 * n | 1) + rows);
  }
  constexpr std::size_t slices_kept(Wilson2dUse use) const {
    return use == Wilson2dUse::kLogDet && time_ > 2 ? 2 : time_;
  }
  constexpr std::size_t scratch_matrices(Wilson2dUse use) const { return use == Wilson2dUse::kLogDet ? 3 : 5; }

 private:
  std::size_t space_, time_;
  double mass_;
  std::array<double, kMostSpace + 1> decay_{};
  double inverse_sinh_, log_det_of_lines_;
};


// How the templates below take fields: `cos` and `sin` are anything that can be indexed with mu * sites + site (site = x0 * L1 + x1,
// lattice/geometry.h) and gives what a V is made of: pointers or spans of numbers or of rows of lanes, or a stride through
// a GPU's memory. `slopes` and `work` likewise, to be written to.
//
//   log_abs_det<V>(wilson, cos, sin, work) -> V
//       log|det D|, of one flavour.
//
//   log_abs_det_and_slopes<V>(wilson, cos, sin, work, slopes) -> { log_abs_det, by_mass }
//       also sets slopes[mu * sites + site] = d log|det D| / d theta_mu(site) = Re tr(D^-1 dD/dtheta), for all links.
//       by_mass = d log|det D| / dm = Re tr D^-1; the condensate of one flavour is <psi-bar psi> = -by_mass / sites.
//
//   pion_correlator<V>(wilson, cos, sin, work, correlator)
//       sets correlator[t], 0 <= t < L1, to the average over all L0 L1 sources y of
//       sum over x0 of tr[ G(x, y) G(x, y)^+ ], G = D^-1, x1 = y1 + t mod L1. O(L0^3 L1^2).

#include "lattice/wilson_2d_matrices.inl"
#include "lattice/wilson_2d.inl"

}  // namespace flowloom
