// Hybrid Monte Carlo (Duane et al., Phys. Lett. B 195 (1987) 216): a Markov chain with the stationary weight exp(-S).
//
// A trajectory draws momenta pi ~ N(0, 1), follows the flow of H = 1/2 sum pi^2 + S(field) for a time, in steps, and
// takes the end with probability min(1, exp(-dH)); else the chain stays where it was.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lattice/hmc_action.h"
#include "spec/noise.h"

namespace flowloom {

// Both are reversible, keep volume, and miss H by O(eps^2) after a fixed time.
enum class Integrator {
  kLeapfrog,
  kOmelyan,  // 2MN: two evaluations of the slopes a step (Omelyan et al., Comput. Phys. Commun. 151 (2003) 272)
};

// Follows the flow of H for `length` in `steps` steps; `field` and `momenta` become what they are at the end.
void integrate(const HmcAction& action, Integrator integrator, double length, int steps, std::span<double> field,
               std::span<double> momenta);

// H of this field and these momenta.
double hamiltonian(const HmcAction& action, std::span<const double> field, std::span<const double> momenta);

struct HmcOptions {
  double length = 1;  // of a trajectory
  int steps = 10;     // in a trajectory, at first: see `thermalise`
  Integrator integrator = Integrator::kOmelyan;
};

// Deterministic: trajectory t, counted from 0, takes its noise from the address (kReferenceChain, t) of the key. One
// owner, no locks.
class Hmc {
 public:
  // Starts cold: the field is 0. Throws `kInvalidInput` unless length > 0 is finite and there are 1 to 10000 steps.
  Hmc(std::unique_ptr<const HmcAction> action, HmcOptions options, NoiseKey key);

  struct Trajectory {
    double delta_h;  // at the end, whatever was decided; NaN or infinite if it ran away, which is a rejection
    bool accepted;
  };
  Trajectory trajectory();

  // Runs trajectories and tunes the number of steps to a mean acceptance near `kTargetAcceptance`, the length staying
  // as it is. What it does looks at the chain, so its trajectories are no measurements; afterwards the number is
  // frozen. With 200 trajectories, begun with 1 or 200 steps where 2 to 13 are right, the acceptance was 0.88 to 0.99
  // (96 chains: phi^4 on 8^2, U(1) on 4^3).
  void thermalise(std::size_t trajectories);
  static constexpr double kTargetAcceptance = 0.9;

  int steps() const { return options_.steps; }
  std::span<const double> field() const { return field_; }

 private:
  std::unique_ptr<const HmcAction> action_;
  HmcOptions options_;
  NoiseKey key_;
  std::uint64_t trajectories_ = 0;
  double action_of_field_;
  std::vector<double> field_, proposal_, momenta_;
};

}  // namespace flowloom
