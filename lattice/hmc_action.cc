#include "lattice/hmc_action.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "math/elementary.h"
#include "spec/error.h"

namespace flowloom {
namespace {

void check_phi4(double coupling, double lambda, bool falls) {
  if (!std::isfinite(coupling) || !std::isfinite(lambda) || lambda < 0 || (lambda == 0 && falls)) {
    throw Error(ErrorCode::kInvalidInput,
                "phi^4 needs finite couplings, lambda > 0, or lambda = 0 and an action with a minimum.");
  }
}

// The cosine and sine of an angle in radians.
Turn<double> turn_of_angle(double angle) { return turn(angle * (0.5 * std::numbers::inv_pi)); }

// Calls visit(plaquette's links in order) for each plaquette of the action.
template <class Visit>
void for_plaquettes(const GaugeLattice& lattice, Visit visit) {
  for (const auto [mu, nu] : lattice.planes()) {
    for (std::size_t x = 0; x < lattice.sites(); ++x) {
      visit(lattice.link(mu, x), lattice.link(nu, lattice.forward(mu, x)), lattice.link(mu, lattice.forward(nu, x)),
            lattice.link(nu, x));
    }
  }
}

}  // namespace

Phi4Action::Phi4Action(const Geometry& geometry, double hopping, double square, double quartic, double constant)
    : sites_(geometry.sites()), hopping_(hopping), square_(square), quartic_(quartic), constant_(constant) {
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    const auto forward = geometry.forward(mu);
    forward_.insert(forward_.end(), forward.begin(), forward.end());
  }
}

Phi4Action Phi4Action::form_a(const Geometry& geometry, double m2, double lambda) {
  check_phi4(m2, lambda, m2 <= 0);
  return {geometry, -2, 2 * static_cast<double>(geometry.dimensions()) + m2, lambda, 0};
}

Phi4Action Phi4Action::form_b(const Geometry& geometry, double beta, double lambda) {
  check_phi4(beta, lambda, std::abs(beta) * static_cast<double>(geometry.dimensions()) >= 1);
  return {geometry, -beta, 1 - 2 * lambda, lambda, lambda * static_cast<double>(geometry.sites())};
}

double Phi4Action::action(std::span<const double> field) const {
  double hopping = 0, square = 0, quartic = 0;
  for (std::size_t k = 0; k < forward_.size(); ++k) hopping += field[k % sites_] * field[forward_[k]];
  for (const double phi : field) {
    square += phi * phi;
    quartic += phi * phi * phi * phi;
  }
  return hopping_ * hopping + square_ * square + quartic_ * quartic + constant_;
}

void Phi4Action::slopes(std::span<const double> field, std::span<double> out) const {
  for (std::size_t x = 0; x < sites_; ++x) {
    const double phi = field[x];
    out[x] = 2 * square_ * phi + 4 * quartic_ * phi * phi * phi;
  }
  for (std::size_t first = 0; first < forward_.size(); first += sites_) {
    for (std::size_t x = 0; x < sites_; ++x) {
      const std::size_t y = forward_[first + x];
      out[x] += hopping_ * field[y];
      out[y] += hopping_ * field[x];
    }
  }
}

U1Action::U1Action(GaugeLattice lattice, double beta) : lattice_(std::move(lattice)), beta_(beta) {
  if (!(beta >= 0) || !std::isfinite(beta)) {
    throw Error(ErrorCode::kInvalidInput, "HMC of U(1) needs a finite beta >= 0, not " + std::to_string(beta) + ".");
  }
}

double U1Action::action(std::span<const double> field) const {
  double sum = 0;
  for_plaquettes(lattice_, [&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    sum += turn_of_angle(field[a] + field[b] - field[c] - field[d]).cos;
  });
  return -beta_ * sum;
}

void U1Action::slopes(std::span<const double> field, std::span<double> out) const {
  std::fill(out.begin(), out.end(), 0.0);
  for_plaquettes(lattice_, [&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    const double slope = beta_ * turn_of_angle(field[a] + field[b] - field[c] - field[d]).sin;
    out[a] += slope;
    out[b] += slope;
    out[c] -= slope;
    out[d] -= slope;
  });
}

}  // namespace flowloom
