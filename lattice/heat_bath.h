// Pure gauge theory by heat bath and overrelaxation, in 2 to 4 dimensions: Markov chains with the stationary weight
//
//   exp(-S),   S = -(beta / N) sum_{x, planes mu < nu} Re tr P_{mu nu}(x)
//
// N = 1 is U(1), where S = -beta sum cos P; N = 2, 3 are SU(N).
//
// Links are updated one after the other, direction by direction, the even sites before the odd ones.
// Any extents from 2 are right, odd ones too: no two links are updated at once.
//
// Deterministic: the heat bath's updates are numbered through from 0, and number i takes its noise from the address
// (kReferenceChain, i) of the key; nothing but math/elementary.h and square roots is computed with it. One owner, no
// locks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lattice/gauge_lattice.h"
#include "lattice/link_matrix.h"
#include "spec/noise.h"

namespace flowloom {

template <std::size_t N>
class HeatBath {
 public:
  // Starts cold: all links are 1. Throws `kInvalidInput` unless beta >= 0 is finite.
  HeatBath(GaugeLattice lattice, double beta, NoiseKey key);

  // One compound sweep: a heat bath of every link, then `overrelaxations` sweeps of overrelaxation, which keep the
  // action and by themselves are no chain. (In U(1) in two dimensions they only exchange the plaquettes on either side
  // of each link.) Rounding errors are taken out of the links at the end.
  void sweep(std::size_t overrelaxations);

  const GaugeLattice& lattice() const { return lattice_; }

  // [direction][site]; elements of the group to 1e-15.
  const std::vector<LinkMatrix<N>>& links() const { return links_; }

 private:
  LinkMatrix<N> staples(std::size_t mu, std::size_t x) const;
  template <class Update>
  void update_all(Update update);

  GaugeLattice lattice_;
  double beta_;
  NoiseKey key_;
  std::vector<LinkMatrix<N>> links_;
  std::uint64_t updates_ = 0;  // by heat bath
};

}  // namespace flowloom
