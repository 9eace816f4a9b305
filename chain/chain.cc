#include "chain/chain.h"

#include <cmath>
#include <limits>

#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {
double Chain::margin(const UnitView& unit, std::size_t k) const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double log_p = unit.log_p[k];
  const double log_q = unit.log_q[k];
  if (!stats::is_valid_proposal(log_p, log_q) || log_p == -kInfinity) return -kInfinity;
  if (!current_) return kInfinity;
  return (log_p - log_q) - current_->log_w() - log_u_[k];
}

void Chain::draw(const UnitView& unit) {
  log_u_.resize(unit.count());
  accept_log_u(key_, unit.first_index, log_u_);
}

std::vector<std::uint8_t> Chain::advance(const UnitView& unit) {
  if (unit.first_index != frontier_) throw Error(ErrorCode::kInternal, "A unit was advanced out of order.");
  draw(unit);
  std::vector<std::uint8_t> accepted(unit.count());
  for (std::size_t k = 0; k < unit.count(); ++k) {
    accepted[k] = margin(unit, k) > 0;
    if (accepted[k]) current_ = state_at(unit, k);
  }
  frontier_ += unit.count();
  return accepted;
}

std::optional<std::size_t> Chain::follow(const UnitView& unit, std::span<const std::uint8_t> accepted) {
  if (unit.first_index != frontier_) throw Error(ErrorCode::kCorrupt, "The log's units are out of order.");
  draw(unit);
  std::optional<std::size_t> contradiction;
  for (std::size_t k = 0; k < unit.count(); ++k) {
    const double by = margin(unit, k);
    if (!(std::abs(by) < kUndecided) && (by > 0) != (accepted[k] != 0) && !contradiction) contradiction = k;
    if (accepted[k]) current_ = state_at(unit, k);
  }
  frontier_ += unit.count();
  return contradiction;
}

void Chain::reweigh(double log_q) {
  if (current_) current_->log_q = log_q;
}

}  // namespace flowloom
