#include "chain/statistics.h"

#include <algorithm>
#include <span>

#include "stats/ess.h"

namespace flowloom {

ChainStatistics::ChainStatistics(const AnyTheory& theory)
    : walk_(theory_observables(theory), theory_sums(theory).size()) {
  for (const Observable& observable : walk_.observables()) observables_.push_back({observable, stats::MultiTau()});
}

void ChainStatistics::add(const UnitRecord& unit) {
  acceptance_.add(unit.accepted);
  log_w_.clear();
  append_log_weights(unit.data, log_w_);
  weights_.add(log_w_);
  invalid_ += unit.data.count() - log_w_.size();
  const auto& steps = walk_.walk(unit);
  for (std::size_t o = 0; o < steps.size(); ++o) {
    Live& live = observables_[o];
    if (!live.defined) continue;
    const auto measurable = std::span(steps[o]).first(count_measurable(steps[o]));
    live.defined = measurable.size() == steps[o].size();
    live.series.add(measurable);
  }
}

const ChainStatistics::Live& ChainStatistics::observable(const std::string& name) const {
  const auto found = std::find_if(observables_.begin(), observables_.end(),
                                  [&](const Live& live) { return live.observable.name == name; });
  return found == observables_.end() ? observables_.front() : *found;
}

}  // namespace flowloom
