// A periodic hypercubic lattice in any dimension: sites, neighbours, parity.
//
// Sites are numbered in row-major order, the last direction fastest: on [L0, L1] site (x0, x1) has number x0 * L1 + x1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace flowloom {

class Geometry {
 public:
  // Throws `kInvalidInput` unless there are 1 to 6 extents, each at least 1, and at most 2^31 sites.
  explicit Geometry(std::vector<std::int64_t> extents);

  std::size_t dimensions() const { return extents_.size(); }
  std::size_t sites() const { return sites_; }
  const std::vector<std::int64_t>& extents() const { return extents_; }
  bool all_even() const;

  std::vector<std::int64_t> coordinates(std::size_t site) const;

  // The site at `coordinates`, which may lie outside and are wrapped around.
  std::size_t site(std::span<const std::int64_t> coordinates) const;

  // Sum of coordinates modulo 2.
  int parity(std::size_t site) const;

  // For each site x, in order: the number of x + displacement.
  std::vector<std::int64_t> neighbours(std::span<const std::int64_t> displacement) const;

  // x + mu, for every site x.
  std::vector<std::int64_t> forward(std::size_t mu) const;

  // The displacements of a centred box of `width` (odd) sites a side, `spacing` apart, row-major, the middle one being
  // zero.
  std::vector<std::vector<std::int64_t>> box(std::int64_t width, std::int64_t spacing = 1) const;

 private:
  std::vector<std::int64_t> extents_;
  std::size_t sites_ = 1;
};

}  // namespace flowloom
