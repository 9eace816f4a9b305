// A place on the lattice from which formulas read variables: theories say their densities, loops and forces once, for a
// cursor, and every walk over the lattice brings a cursor of its own (plain numbers, rows of samples, a GPU's thread,
// whole tensors).
//
//   x.variable(c)     component c of the field at this site: a value (math/value.h) or a tensor
//   x.forward(mu)     the cursor at x + mu;   x.backward(mu)  at x - mu
//   x.dimensions(), x.extent(mu)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lattice/geometry.h"

namespace flowloom {

// Tables of the sites' neighbours as plain pointers, which a GPU's thread can follow.
struct Steps {
  const std::uint32_t *forward, *backward;  // [mu][site]
  const std::uint32_t* extents;             // [mu]
  std::size_t dimensions, sites;
};

// The tables behind them.
class Neighbours {
 public:
  explicit Neighbours(const Geometry& geometry);

  Steps steps() const { return {forward_.data(), backward_.data(), extents_.data(), extents_.size(), sites_}; }
  const std::vector<std::uint32_t>& forward() const { return forward_; }    // [mu][site]
  const std::vector<std::uint32_t>& backward() const { return backward_; }  // [mu][site]
  const std::vector<std::uint32_t>& extents() const { return extents_; }    // [mu]

 private:
  std::vector<std::uint32_t> forward_, backward_, extents_;
  std::size_t sites_;
};

#include "lattice/cursor.inl"

}  // namespace flowloom
