// Walks the chain's steps unit by unit, with the observables' values in the state that each step ends in. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "chain/record.h"
#include "lattice/observable.h"
#include "stats/ess.h"

namespace flowloom {

class StateWalk {
 public:
  explicit StateWalk(std::vector<Observable> observables) : observables_(std::move(observables)) {}

  const std::vector<Observable>& observables() const { return observables_; }

  // Calls `step(k, valid, values)` for each proposal k of a unit, units in order. `values` has one entry per
  // observable, and is empty before the chain's start state.
  template <class Step>
  void walk(const UnitRecord& unit, Step step) {
    const UnitData& data = unit.data;
    std::vector<double> sums(data.count() ? data.sums.size() / data.count() : 0);
    for (std::size_t k = 0; k < data.count(); ++k) {
      if (unit.accepted[k]) {
        for (std::size_t s = 0; s < sums.size(); ++s) sums[s] = data.sums[s * data.count() + k];
        values_.clear();
        for (const Observable& observable : observables_) values_.push_back(observable.value(data.log_p[k], sums));
      }
      step(k, stats::is_valid_proposal(data.log_p[k], data.log_q[k]), values_);
    }
  }

 private:
  std::vector<Observable> observables_;
  std::vector<double> values_;
};

}  // namespace flowloom
