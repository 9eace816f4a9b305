// Walks the chain's steps unit by unit: the observables' values in the state that each step ends in. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chain/record.h"
#include "lattice/observable.h"
#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {

// Whether an observable's value may enter a mean and an error: it is finite, and so are sums of its square.
inline bool is_measurable(double value) { return std::abs(value) < 1e150; }

// How many come before the first that is not.
inline std::size_t count_measurable(std::span<const double> values) {
  std::size_t good = 0;
  for (const double value : values) good += is_measurable(value);
  if (good == values.size()) return good;
  return static_cast<std::size_t>(std::ranges::find_if_not(values, is_measurable) - values.begin());
}

// Adds log_p - log_q of the unit's valid proposals (stats/ess.h).
inline void append_log_weights(const UnitData& unit, std::vector<double>& log_w) {
  std::size_t end = log_w.size();
  log_w.resize(end + unit.count());
  for (std::size_t k = 0; k < unit.count(); ++k) {
    log_w[end] = unit.log_p[k] - unit.log_q[k];
    end += stats::is_valid_proposal(unit.log_p[k], unit.log_q[k]);
  }
  log_w.resize(end);
}

class StateWalk {
 public:
  // `sums`: columns of a unit after log_p and log_q, which the observables are functions of.
  StateWalk(std::vector<Observable> observables, std::size_t sums)
      : observables_(std::move(observables)),
        steps_(observables_.size()),
        values_(observables_.size()),
        current_(observables_.size()),
        sums_(sums) {}

  const std::vector<Observable>& observables() const { return observables_; }

  // The values [observable][step] of the steps of a unit, units in order; there are none before the chain's start state.
  // Throws `kCorrupt` for a unit with other columns.
  const std::vector<std::vector<double>>& walk(const UnitRecord& unit) {
    const UnitData& data = unit.data;
    if (data.sums.size() != sums_.size() * data.count()) {
      throw Error(ErrorCode::kCorrupt,
                  "The unit at proposal " + std::to_string(data.first_index) +
                      " has other sums than this theory; its log is damaged or another version's.");
    }
    // The unit's states, the one before it first, and which of them each step ends in.
    for (std::size_t o = 0; o < observables_.size(); ++o) values_[o].assign(1, current_[o]);
    state_of_.resize(data.count());
    std::uint32_t states = 0;
    std::size_t first = 0;  // step of the chain
    for (std::size_t k = 0; k < data.count(); ++k) {
      if (unit.accepted[k]) {
        if (!std::exchange(started_, true)) first = k;
        for (std::size_t s = 0; s < sums_.size(); ++s) sums_[s] = data.sums[s * data.count() + k];
        for (std::size_t o = 0; o < observables_.size(); ++o)
          values_[o].push_back(observables_[o].value(data.log_p[k], sums_));
        ++states;
      }
      state_of_[k] = states;
    }
    if (!started_) first = data.count();
    for (std::size_t o = 0; o < observables_.size(); ++o) {
      steps_[o].resize(data.count() - first);
      const double* const values = values_[o].data();
      for (std::size_t k = first; k < data.count(); ++k) steps_[o][k - first] = values[state_of_[k]];
      current_[o] = values[states];
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
  std::vector<std::vector<double>> steps_, values_;  // of the last unit: [observable][step], [observable][state]
  std::vector<std::uint32_t> state_of_;              // [step]
  std::vector<double> current_, sums_;      // of the current state
  bool started_ = false;
};

}  // namespace flowloom
