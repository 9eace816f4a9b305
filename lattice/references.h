// What is known of a theory without any flow: plain MCMC of it, and exact values. Every theory whose variables are real
// numbers or angles has HMC; what another algorithm there is for a theory, lattice/references.cc says.
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

// The mean of the observable of this name (or the value of kLogZ) on this very lattice, if there is a formula for it: a
// theory that knows some has a member exact(observable).
std::optional<double> exact_value(const AnyTheory& theory, const std::string& observable);

}  // namespace flowloom
