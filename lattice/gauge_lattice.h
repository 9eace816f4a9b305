// Where the links and the plaquettes of a gauge theory lie: neighbours of every site, and the planes whose plaquettes
// are in the action.
//
// Link (mu, x) has number mu V + x and goes from site x to x + mu; V sites are numbered as lattice/geometry.h says. The
// plaquette of plane (mu, nu) at x is
//
//   P_{mu nu}(x) = U_mu(x) U_nu(x+mu) U_mu(x+nu)^dagger U_nu(x)^dagger
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "lattice/geometry.h"

namespace flowloom {

struct Plane {
  std::size_t mu, nu;
  bool operator==(const Plane&) const = default;
};

class GaugeLattice {
 public:
  // With the plaquettes of all planes mu < nu. Throws `kInvalidInput` unless the lattice has 2 to 4 dimensions and
  // every extent is at least 2: on an extent of 1 a link is its own neighbour and would meet itself in a plaquette.
  explicit GaugeLattice(Geometry geometry);

  // With those of some planes only, the others being switched off: with (0, 1) and (2, 3) alone, a lattice in four
  // dimensions is many independent ones in two. Throws `kInvalidInput` also for a plane that is there twice or is none.
  GaugeLattice(Geometry geometry, std::vector<Plane> planes);

  const Geometry& geometry() const { return geometry_; }
  const std::vector<Plane>& planes() const { return planes_; }
  std::size_t sites() const { return geometry_.sites(); }
  std::size_t dimensions() const { return geometry_.dimensions(); }
  std::size_t links() const { return dimensions() * sites(); }
  std::size_t plaquettes() const { return planes_.size() * sites(); }

  std::size_t link(std::size_t mu, std::size_t x) const { return mu * sites() + x; }
  std::size_t forward(std::size_t mu, std::size_t x) const { return forward_[link(mu, x)]; }    // x + mu
  std::size_t backward(std::size_t mu, std::size_t x) const { return backward_[link(mu, x)]; }  // x - mu

  // The directions nu whose plane with mu is switched on.
  const std::vector<std::size_t>& partners(std::size_t mu) const { return partners_[mu]; }

  // All sites, the even ones first. Where all extents are even, the links (mu, x) of one direction and one parity of x
  // are not in each other's staples.
  const std::vector<std::size_t>& checkerboard() const { return checkerboard_; }

 private:
  Geometry geometry_;
  std::vector<Plane> planes_;
  std::vector<std::size_t> forward_, backward_;
  std::vector<std::vector<std::size_t>> partners_;
  std::vector<std::size_t> checkerboard_;
};

}  // namespace flowloom
