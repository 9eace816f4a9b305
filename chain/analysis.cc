#include "chain/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lattice/references.h"
#include "spec/error.h"
#include "stats/acceptance.h"
#include "stats/ess.h"
#include "stats/window.h"

namespace flowloom {

void ChainAnalysis::add(const UnitRecord& unit) {
  accepted_.insert(accepted_.end(), unit.accepted.begin(), unit.accepted.end());
  const std::size_t before = log_w_.size();
  append_log_weights(unit.data, log_w_);
  invalid_ += unit.data.count() - (log_w_.size() - before);
  const auto& steps = walk_.walk(unit);
  for (std::size_t o = 0; o < steps.size(); ++o) series_[o].insert(series_[o].end(), steps[o].begin(), steps[o].end());
}

ChainAnalysis::Result ChainAnalysis::result(std::uint64_t burn_in) const {
  const std::uint64_t steps = series_.empty() ? 0 : series_.front().size();
  if (burn_in > 0 && (steps < 2 || burn_in > steps - 2)) {
    throw Error(ErrorCode::kInvalidInput, "A burn-in of " + std::to_string(burn_in) +
                                              " leaves nothing of the chain's " + std::to_string(steps) +
                                              " steps; use a smaller one.");
  }
  Result result;
  result.proposals = accepted_.size();
  result.accepted = static_cast<std::uint64_t>(std::count(accepted_.begin(), accepted_.end(), 1));
  result.invalid = invalid_;
  result.discarded = burn_in;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  result.acceptance = result.tau_acc = result.ess = result.log_z.value = result.log_z.error = kNan;
  if (!accepted_.empty()) {
    result.acceptance = stats::acceptance_rate(accepted_);
    result.tau_acc = stats::tau_acc(accepted_);
    result.longest_rejection_run = stats::longest_rejection_run(accepted_);
  }
  if (std::any_of(log_w_.begin(), log_w_.end(), [](double w) { return std::isfinite(w); })) {
    result.ess = stats::ess(log_w_);
    result.log_z = stats::log_z(log_w_);
    result.exact_log_z = exact_value(theory_, kLogZ);
  }
  // Of a state that the chain left only once, a series may know nothing.
  const bool long_enough = static_cast<double>(steps - burn_in) >= stats::kMinTauInts * result.tau_acc;
  for (std::size_t o = 0; o < series_.size(); ++o) {
    ObservableRow row = observable_row(theory_, walk_.observables()[o], std::span(series_[o]).subspan(burn_in));
    row.estimate.reliable = row.estimate.reliable && long_enough;
    result.rows.push_back(std::move(row));
  }
  return result;
}

}  // namespace flowloom
