// What is known of a theory without any flow: plain MCMC of it, and exact values. A new theory says here what it has
// beyond HMC, which every theory has whose variables are real numbers or angles, or instead of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lattice/reference_chain.h"
#include "lattice/theories.h"

namespace flowloom {

// The algorithms that make a reference chain of this theory, as a command line names them: "heatbath", "hmc". The first
// is the one to take.
std::vector<std::string> reference_algorithms(const AnyTheory& theory);

// `algorithm` is one of them, or "auto": the first. Throws `kInvalidInput` with those there are.
std::unique_ptr<ReferenceChain> make_reference(const AnyTheory& theory, const std::string& algorithm, NoiseKey key);

// The mean of the observable of this name on this very lattice, if there is a formula for it.
//
//   phi^4    m: 0, by phi -> -phi
//   U(1), SU(2), SU(3)
//            what lattice/exact_2d.h has (beta <= 50), where the Wilson loop is smaller than the lattice; the action,
//            from the plaquette; charge: 0, by theta -> -theta; polyakov: 0, by the centre
std::optional<double> exact_value(const AnyTheory& theory, const std::string& observable);

}  // namespace flowloom
