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
  for (std::size_t k = 0; k < unit.data.count(); ++k) {
    acceptance_.add(unit.accepted[k] != 0);
    if (stats::is_valid_proposal(unit.data.log_p[k], unit.data.log_q[k])) {
      weights_.add(unit.data.log_p[k] - unit.data.log_q[k]);
    } else {
      ++invalid_;
    }
  }
  const auto& steps = walk_.walk(unit);
  for (std::size_t o = 0; o < steps.size(); ++o) {
    Live& live = observables_[o];
    if (!live.defined) continue;
    const auto end = std::ranges::find_if_not(steps[o], is_measurable);
    live.defined = end == steps[o].end();
    live.series.add(std::span(steps[o].begin(), end));
  }
}

const ChainStatistics::Live& ChainStatistics::observable(const std::string& name) const {
  const auto found = std::find_if(observables_.begin(), observables_.end(),
                                  [&](const Live& live) { return live.observable.name == name; });
  return found == observables_.end() ? observables_.front() : *found;
}

}  // namespace flowloom
