// What HMC needs of a theory: its action and the slope of that in every variable. Parameters are plain numbers.
//
// Pure: one action may serve any number of chains and threads.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "lattice/gauge_lattice.h"
#include "lattice/geometry.h"

namespace flowloom {

class HmcAction {
 public:
  virtual ~HmcAction() = default;
  virtual std::size_t variables() const = 0;
  virtual double action(std::span<const double> field) const = 0;

  // dS / d field: minus the force.
  virtual void slopes(std::span<const double> field, std::span<double> out) const = 0;
};

// phi^4 in the two forms of lattice/phi4.h, the constant of form B included. Field: [site].
//
//   S = sum_x [ hopping sum_mu phi(x) phi(x+mu) + square phi(x)^2 + quartic phi(x)^4 ] + constant
class Phi4Action final : public HmcAction {
 public:
  // Throw `kInvalidInput` where the theory does not exist: a number that is not finite, lambda < 0, or lambda = 0 and
  // no minimum.
  static Phi4Action form_a(const Geometry& geometry, double m2, double lambda);
  static Phi4Action form_b(const Geometry& geometry, double beta, double lambda);

  std::size_t variables() const override { return sites_; }
  double action(std::span<const double> field) const override;
  void slopes(std::span<const double> field, std::span<double> out) const override;

 private:
  Phi4Action(const Geometry& geometry, double hopping, double square, double quartic, double constant);

  std::size_t sites_;
  std::vector<std::size_t> forward_;  // [direction][site]
  double hopping_, square_, quartic_, constant_;
};

// U(1) in 2 to 4 dimensions: S = -beta sum_{x, planes} cos(P), P = theta_mu(x) + theta_nu(x+mu) - theta_mu(x+nu) -
// theta_nu(x). Field: [direction][site], angles, which need not be reduced.
class U1Action final : public HmcAction {
 public:
  // Throws `kInvalidInput` unless beta >= 0 is finite.
  U1Action(GaugeLattice lattice, double beta);

  std::size_t variables() const override { return lattice_.links(); }
  double action(std::span<const double> field) const override;
  void slopes(std::span<const double> field, std::span<double> out) const override;

 private:
  GaugeLattice lattice_;
  double beta_;
};

}  // namespace flowloom
