#include "chain/chain.h"

#include <cmath>
#include <limits>

#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {

template <class Decide>
void Chain::walk(const UnitView& unit, Decide decide) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::size_t count = unit.count();
  log_u_.resize(count);
  accept_log_u(key_, unit.first_index, log_u_);
  double current = current_ ? current_->log_w() : -kInfinity;
  std::size_t last = count;  // that the chain moved to
  for (std::size_t k = 0; k < count; ++k) {
    const double log_w = stats::log_weight(unit.log_p[k], unit.log_q[k]);
    if (!decide(k, log_w == -kInfinity ? log_w : log_w - current - log_u_[k])) continue;
    current = log_w;
    last = k;
  }
  if (last < count) current_ = state_at(unit, last);
  frontier_ += count;
}

std::vector<std::uint8_t> Chain::advance(const UnitView& unit) {
  if (unit.first_index != frontier_) throw Error(ErrorCode::kInternal, "A unit was advanced out of order.");
  std::vector<std::uint8_t> accepted(unit.count());
  walk(unit, [&](std::size_t k, double margin) { return accepted[k] = margin > 0; });
  return accepted;
}

std::optional<std::size_t> Chain::follow(const UnitView& unit, std::span<const std::uint8_t> accepted) {
  if (unit.first_index != frontier_) throw Error(ErrorCode::kCorrupt, "The log's units are out of order.");
  std::optional<std::size_t> contradiction;
  walk(unit, [&](std::size_t k, double margin) {
    const bool moves = accepted[k] != 0;
    if (!(std::abs(margin) < kUndecided) && (margin > 0) != moves && !contradiction) contradiction = k;
    return moves;
  });
  return contradiction;
}

void Chain::reweigh(double log_q) {
  if (current_) current_->log_q = log_q;
}

}  // namespace flowloom
