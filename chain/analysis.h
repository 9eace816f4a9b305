// The figures of a finished (or running) chain, computed from its log: Gamma-method errors and tau_int.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chain/observable_row.h"
#include "chain/record.h"
#include "chain/state_walk.h"
#include "lattice/theories.h"
#include "stats/estimate.h"

namespace flowloom {

// Collects the series that the Gamma method needs, unit by unit, then computes. Memory: 8 bytes per proposal and sum.
class ChainAnalysis {
 public:
  explicit ChainAnalysis(const AnyTheory& theory)
      : theory_(theory), walk_(theory_observables(theory), theory_sums(theory).size()) {}

  void add(const UnitRecord& unit);

  struct Result {
    std::uint64_t proposals = 0, accepted = 0, invalid = 0, longest_rejection_run = 0;
    double acceptance = 0;
    double tau_acc = 0;  // stats::tau_acc
    double ess = 0;      // of the proposals; NaN if none is valid
    stats::Estimate log_z;
    std::optional<double> exact_log_z;  // lattice/references.h
    std::uint64_t discarded = 0;
    std::vector<ObservableRow> rows;  // reliable only if the chain has stats::kMinTauInts tau_acc, too
  };

  // `burn_in` chain steps are left out of the observables' series. Throws `kInvalidInput` if nothing would be left.
  Result result(std::uint64_t burn_in) const;

 private:
  AnyTheory theory_;
  StateWalk walk_;
  std::vector<std::vector<double>> series_ = std::vector<std::vector<double>>(walk_.observables().size());
  std::vector<double> log_w_;  // of valid proposals
  std::vector<std::uint8_t> accepted_;
  std::uint64_t invalid_ = 0;
};

}  // namespace flowloom
