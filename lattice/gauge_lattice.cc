#include "lattice/gauge_lattice.h"

#include <algorithm>
#include <string>
#include <utility>

#include "spec/error.h"

namespace flowloom {
namespace {

std::vector<Plane> all_planes(std::size_t dimensions) {
  std::vector<Plane> planes;
  for (std::size_t mu = 0; mu < dimensions; ++mu) {
    for (std::size_t nu = mu + 1; nu < dimensions; ++nu) planes.push_back({mu, nu});
  }
  return planes;
}

}  // namespace

GaugeLattice::GaugeLattice(Geometry geometry) : GaugeLattice(geometry, all_planes(geometry.dimensions())) {}

GaugeLattice::GaugeLattice(Geometry geometry, std::vector<Plane> planes)
    : geometry_(std::move(geometry)), planes_(std::move(planes)), partners_(geometry_.dimensions()) {
  const std::size_t dimensions = geometry_.dimensions();
  if (dimensions < 2 || dimensions > 4) {
    throw Error(ErrorCode::kInvalidInput,
                "A gauge theory needs a lattice of 2 to 4 dimensions, not " + std::to_string(dimensions) + ".");
  }
  for (const std::int64_t extent : geometry_.extents()) {
    if (extent < 2) {
      throw Error(
          ErrorCode::kInvalidInput,
          "A gauge theory needs extents of at least 2 sites: on an extent of 1 a link meets itself in a plaquette.");
    }
  }
  for (const Plane& plane : planes_) {
    if (plane.mu >= plane.nu || plane.nu >= dimensions) {
      throw Error(ErrorCode::kInvalidInput, "(" + std::to_string(plane.mu) + ", " + std::to_string(plane.nu) +
                                                ") is no plane of this lattice: take mu < nu < dimensions.");
    }
    if (std::count(planes_.begin(), planes_.end(), plane) > 1) {
      throw Error(ErrorCode::kInvalidInput, "The plane (" + std::to_string(plane.mu) + ", " + std::to_string(plane.nu) +
                                                ") is listed twice; list it once.");
    }
    partners_[plane.mu].push_back(plane.nu);
    partners_[plane.nu].push_back(plane.mu);
  }
  for (std::size_t mu = 0; mu < dimensions; ++mu) {
    const auto forward = geometry_.forward(mu);
    forward_.insert(forward_.end(), forward.begin(), forward.end());
  }
  backward_.resize(forward_.size());
  for (std::size_t mu = 0; mu < dimensions; ++mu) {
    for (std::size_t x = 0; x < sites(); ++x) backward_[link(mu, forward_[link(mu, x)])] = x;
  }
  for (const int parity : {0, 1}) {
    for (std::size_t x = 0; x < sites(); ++x) {
      if (geometry_.parity(x) == parity) checkerboard_.push_back(x);
    }
  }
}

}  // namespace flowloom
