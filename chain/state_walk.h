// Walks the chain's steps unit by unit: the observables' values in the state that each step ends in. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chain/record.h"
#include "lattice/observable.h"
#include "math/arrays.h"
#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {

// Whether an observable's value may enter a mean and an error: it is finite, and so are sums of its square.
inline constexpr double kMeasurable = 1e150;
inline bool is_measurable(double value) { return std::abs(value) < kMeasurable; }

// How many come before the first that is not.
inline std::size_t count_measurable(std::span<const double> values) {
  if (all_below(values, kMeasurable)) return values.size();
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

// Throws `kCorrupt` for a unit that has not `sums` columns after log_p and log_q.
inline void refuse_other_sums(const UnitData& unit, std::size_t sums) {
  if (unit.sums.size() == sums * unit.count()) return;
  throw Error(ErrorCode::kCorrupt, "The unit at proposal " + std::to_string(unit.first_index) +
                                       " has other sums than this theory; its log is damaged or another version's.");
}

class StateWalk {
 public:
  // `sums`: columns of a unit after log_p and log_q, which the observables are functions of.
  StateWalk(std::vector<Observable> observables, std::size_t sums)
      : observables_(std::move(observables)), steps_(observables_.size()), current_(observables_.size()), sums_(sums) {}

  const std::vector<Observable>& observables() const { return observables_; }

  // The values [observable][step] of the steps of a unit, units in order; there are none before the chain's start
  // state. Throws `kCorrupt` for a unit with other columns.
  const std::vector<std::vector<double>>& walk(const UnitRecord& unit) {
    const UnitData& data = unit.data;
    refuse_other_sums(data, sums_);
    const std::size_t count = data.count();
    // The state that each step ends in: that before the unit, or proposal `state - 1`.
    states_.resize(count);
    std::uint32_t state = 0;
    for (std::size_t k = 0; k < count; ++k) {
      if (unit.accepted[k]) state = static_cast<std::uint32_t>(k + 1);
      states_[k] = state;
    }
    std::size_t first = 0;  // step of the chain
    if (!started_) first = static_cast<std::size_t>(std::ranges::find_if(states_, std::identity()) - states_.begin());
    started_ = started_ || state != 0;
    values_.resize(count + 1);
    for (std::size_t o = 0; o < observables_.size(); ++o) {
      values_[0] = current_[o];
      observables_[o].values(data.log_p, data.sums.data(), values_.data() + 1);
      steps_[o].resize(count - first);
      for (std::size_t k = first; k < count; ++k) steps_[o][k - first] = values_[states_[k]];
      current_[o] = values_[state];
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
  std::vector<double> current_;             // of the current state
  std::size_t sums_;
  std::vector<double> values_;
  std::vector<std::uint32_t> states_;
  bool started_ = false;
};

}  // namespace flowloom
