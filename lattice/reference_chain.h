// Plain MCMC of each theory behind one interface: the numbers that a chain of a flow is compared with.
//
// One owner, no locks; the same key and calls give the same chain. The key may be a run's: the noise has a purpose of
// its own.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "lattice/field_type.h"
#include "lattice/gauge_lattice.h"
#include "lattice/hmc.h"
#include "lattice/hmc_action.h"
#include "spec/noise.h"

namespace flowloom {

class ReferenceChain {
 public:
  virtual ~ReferenceChain() = default;

  // Makes `steps` steps that are no measurements, and tunes on the way what there is to tune; it is frozen afterwards.
  virtual void thermalise(std::size_t steps) = 0;

  // One trajectory or compound sweep. Leaves the stationary distribution exp(-S) as it is.
  virtual void step() = 0;

  // The configuration, until the next call of `step` or `thermalise`:
  //   phi^4   [site]
  //   U(1)    [direction][site], angles in [0, 2 pi)
  //   SU(N)   [direction][row][column][re, im][site]
  virtual std::span<const double> field() const = 0;

  // The fraction of steps since the last `thermalise` that were accepted; 1 for a heat bath, and before the first step.
  virtual double acceptance() const = 0;

  // The algorithm with its present parameters, as people write it: "HMC, 2MN, 4 steps in a trajectory of length 1".
  virtual std::string algorithm() const = 0;
};

// HMC of any action; the field is that of the action, angles reduced as above.
std::unique_ptr<ReferenceChain> hmc_reference(std::unique_ptr<const HmcAction> action, FieldType type,
                                              const HmcOptions& options, NoiseKey key);

// U(1) (`colours` = 1), SU(2), SU(3) by compound sweeps of one heat bath and some overrelaxations. Throws
// `kInvalidInput` for other colours.
std::unique_ptr<ReferenceChain> heat_bath_reference(int colours, GaugeLattice lattice, double beta,
                                                    std::size_t overrelaxations, NoiseKey key);

}  // namespace flowloom
