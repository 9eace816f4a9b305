// Running figures of a chain: everything the live status shows, at a constant cost per proposal.
//
// tau_int and errors here are multi-tau estimates (stats/multi_tau.h) and labelled so; the Gamma method's are computed
// from the log (chain/analysis.h). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chain/record.h"
#include "chain/state_walk.h"
#include "lattice/theories.h"
#include "stats/acceptance.h"
#include "stats/ess.h"
#include "stats/multi_tau.h"

namespace flowloom {

class ChainStatistics {
 public:
  explicit ChainStatistics(const AnyTheory& theory);

  // Units in order, as committed.
  void add(const UnitRecord& unit);

  struct Live {
    Observable observable;
    stats::MultiTau series;
    bool defined = true;  // false once a state's value was not measurable: this observable has no statistics any more
  };

  std::uint64_t proposals() const { return acceptance_.count(); }
  std::uint64_t invalid() const { return invalid_; }
  const stats::AcceptanceAccumulator& acceptance() const { return acceptance_; }
  const stats::WeightAccumulator& weights() const { return weights_; }  // of valid proposals
  const std::vector<Live>& observables() const { return observables_; }
  const Live& observable(const std::string& name) const;  // empty: the first

  // As stats/acceptance.h says.
  template <class Visit>
  void visit_state(Visit& visit) {
    visit(invalid_);
    walk_.visit_state(visit), acceptance_.visit_state(visit), weights_.visit_state(visit);
    for (Live& live : observables_) visit(live.defined), live.series.visit_state(visit);
  }

 private:
  StateWalk walk_;
  std::uint64_t invalid_ = 0;
  stats::AcceptanceAccumulator acceptance_;
  stats::WeightAccumulator weights_;
  std::vector<Live> observables_;
  std::vector<double> log_w_;  // of the last unit
};

}  // namespace flowloom
