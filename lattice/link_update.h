// The two updates of one link U with the others fixed, which meet in the sum A of its staples: its weight is
//
//   exp((beta / N) Re tr(U A))         N = 1: U(1);  N = 2, 3: SU(N)
//
// SU(3) is updated in three SU(2) subgroups, one after the other (Cabibbo and Marinari, Phys. Lett. B 119 (1982) 387).
#pragma once

#include "lattice/link_matrix.h"
#include "lattice/noise_stream.h"

namespace flowloom {

// A new U from that distribution (SU(3): from that on each subgroup's orbit of U). U(1): Best and Fisher, Appl.
// Statist. 28 (1979) 152; SU(2): Kennedy and Pendleton, Phys. Lett. B 156 (1985) 393, at small couplings plain
// rejection.
template <std::size_t N>
void heat_bath(LinkMatrix<N>& u, const LinkMatrix<N>& staples, double beta, NoiseStream& noise);

// The reflection of U about the maximum of its weight (SU(3): in each subgroup), which leaves the action as it is.
template <std::size_t N>
void overrelax(LinkMatrix<N>& u, const LinkMatrix<N>& staples);

}  // namespace flowloom
