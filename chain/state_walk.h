// Walks the chain's steps unit by unit: the observables' values in the state that each step ends in. Pure.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chain/record.h"
#include "lattice/observable.h"
#include "spec/error.h"

namespace flowloom {

// Whether an observable's value may enter a mean and an error: it is finite, and so are sums of its square.
inline bool is_measurable(double value) { return std::abs(value) < 1e150; }

class StateWalk {
 public:
  // `sums`: columns of a unit after log_p and log_q, which the observables are functions of.
  StateWalk(std::vector<Observable> observables, std::size_t sums)
      : observables_(std::move(observables)), steps_(observables_.size()), current_(observables_.size()), sums_(sums) {}

  const std::vector<Observable>& observables() const { return observables_; }

  // The values [observable][step] of the steps of a unit, units in order; there are none before the chain's start state.
  // Throws `kCorrupt` for a unit with other columns.
  const std::vector<std::vector<double>>& walk(const UnitRecord& unit) {
    const UnitData& data = unit.data;
    for (std::vector<double>& values : steps_) values.clear();
    if (data.sums.size() != sums_.size() * data.count()) {
      throw Error(ErrorCode::kCorrupt,
                  "The unit at proposal " + std::to_string(data.first_index) +
                      " has other sums than this theory; its log is damaged or another version's.");
    }
    for (std::size_t k = 0; k < data.count();) {
      if (unit.accepted[k]) {
        started_ = true;
        for (std::size_t s = 0; s < sums_.size(); ++s) sums_[s] = data.sums[s * data.count() + k];
        for (std::size_t o = 0; o < observables_.size(); ++o) current_[o] = observables_[o].value(data.log_p[k], sums_);
      }
      std::size_t steps = 1;  // in this state
      while (k + steps < data.count() && !unit.accepted[k + steps]) ++steps;
      k += steps;
      if (!started_) continue;
      for (std::size_t o = 0; o < observables_.size(); ++o) steps_[o].insert(steps_[o].end(), steps, current_[o]);
    }
    return steps_;
  }

  // As stats/acceptance.h says.
  template <class Visit>
  void visit_state(Visit& visit) {
    visit(started_);
    for (double& value : current_) visit(value);
  }

 private:
  std::vector<Observable> observables_;
  std::vector<std::vector<double>> steps_;  // of the last unit
  std::vector<double> current_, sums_;      // of the current state
  bool started_ = false;
};

}  // namespace flowloom
