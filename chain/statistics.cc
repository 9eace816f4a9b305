#include "chain/statistics.h"

#include <algorithm>
#include <cmath>

namespace flowloom {

ChainStatistics::ChainStatistics(const AnyTheory& theory) : walk_(theory_observables(theory)) {
  for (const Observable& observable : walk_.observables()) observables_.push_back({observable, stats::MultiTau()});
}

void ChainStatistics::add(const UnitRecord& unit) {
  walk_.walk(unit, [&](std::size_t k, bool valid, const std::vector<double>& values) {
    acceptance_.add(unit.accepted[k] != 0);
    if (valid) {
      weights_.add(unit.data.log_p[k] - unit.data.log_q[k]);
    } else {
      ++invalid_;
    }
    for (std::size_t o = 0; o < values.size(); ++o) {
      Live& live = observables_[o];
      live.defined = live.defined && std::isfinite(values[o]);
      if (live.defined) live.series.add(values[o]);
    }
  });
}

const ChainStatistics::Live& ChainStatistics::observable(const std::string& name) const {
  const auto found = std::find_if(observables_.begin(), observables_.end(),
                                  [&](const Live& live) { return live.observable.name == name; });
  return found == observables_.end() ? observables_.front() : *found;
}

}  // namespace flowloom
