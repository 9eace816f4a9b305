#include "coordinator/unit_ledger.h"

#include <algorithm>

namespace flowloom {

bool UnitLedger::Unit::wanted() const {
  const auto running = std::count_if(leases.begin(), leases.end(), [](const Lease& lease) { return !lease.expired; });
  return !answered && running == 0 && leases.size() < 2;
}

bool UnitLedger::Unit::held_by(WorkerId worker) const {
  return std::any_of(leases.begin(), leases.end(), [&](const Lease& lease) { return lease.worker == worker; });
}

template <class Match>
std::size_t UnitLedger::drop_leases(Unit& unit, Match match) {
  return std::erase_if(unit.leases, [&](const Lease& lease) {
    if (!match(lease)) return false;
    if (--leased_[lease.worker] == 0) leased_.erase(lease.worker);
    return true;
  });
}

void UnitLedger::note(UnitNumber number, const Unit& unit) {
  if (unit.wanted()) {
    wanted_.insert(number);
  } else {
    wanted_.erase(number);
  }
}

bool UnitLedger::has_work(UnitNumber end) const {
  return (!wanted_.empty() && *wanted_.begin() < end) || has_fresh(end);
}

std::optional<UnitNumber> UnitLedger::grant(WorkerId worker, UnitNumber end, std::span<const WorkerId> connected,
                                            const MayServe& may_serve, Time now) {
  const auto take = [&](UnitNumber number) {
    Unit& unit = units_[number];
    unit.leases.push_back({worker, now + lease_});
    ++leased_[worker];
    note(number, unit);
    return number;
  };
  for (const UnitNumber number : wanted_) {
    if (number >= end) break;
    const Unit& unit = units_.at(number);
    if (unit.held_by(worker) || !may_serve(worker, number)) continue;
    const auto untried = [&](WorkerId other) {
      return !unit.tried.contains(other) && !unit.held_by(other) && may_serve(other, number);
    };
    const bool shunned = unit.tried.contains(worker) && std::any_of(connected.begin(), connected.end(), untried);
    if (!shunned) return take(number);
  }
  if (has_fresh(end) && may_serve(worker, next_fresh_)) return take(next_fresh_++);
  return {};
}

UnitLedger::Verdict UnitLedger::verdict(UnitNumber number) const {
  if (number < frontier_) return Verdict::kSame;
  if (number >= frontier_ + window_) return Verdict::kNotInWindow;
  const auto found = units_.find(number);
  return found != units_.end() && found->second.answered ? Verdict::kSame : Verdict::kNew;
}

// An answer from before a restart may run ahead of this process's grants: those between must still be granted.
UnitLedger::Unit& UnitLedger::reach(UnitNumber number) {
  for (; next_fresh_ <= number; ++next_fresh_) note(next_fresh_, units_[next_fresh_]);
  return units_[number];
}

UnitLedger::Verdict UnitLedger::answered(UnitNumber number) {
  const Verdict worth = verdict(number);
  if (worth != Verdict::kNew) return worth;
  Unit& unit = reach(number);
  unit.answered = true;
  drop_leases(unit, [](const Lease&) { return true; });
  note(number, unit);
  return worth;
}

void UnitLedger::again(UnitNumber number, WorkerId worker) {
  Unit& unit = reach(number);
  unit.answered = false;
  unit.tried.insert(worker);
  drop_leases(unit, [&](const Lease& lease) { return lease.worker == worker; });
  note(number, unit);
}

bool UnitLedger::holds(WorkerId worker, UnitNumber number) const {
  const auto found = units_.find(number);
  return found != units_.end() && found->second.held_by(worker);
}

int UnitLedger::failed(WorkerId worker, UnitNumber number) {
  const auto found = units_.find(number);
  if (found == units_.end() || found->second.answered) return 0;
  Unit& unit = found->second;
  if (drop_leases(unit, [&](const Lease& lease) { return lease.worker == worker; }) == 0) return 0;
  unit.tried.insert(worker);
  note(number, unit);
  return ++unit.failures;
}

void UnitLedger::committed() {
  wanted_.erase(frontier_);
  units_.erase(frontier_++);
  next_fresh_ = std::max(next_fresh_, frontier_);
}

void UnitLedger::left(WorkerId worker) {
  for (auto& [number, unit] : units_) {
    if (drop_leases(unit, [&](const Lease& lease) { return lease.worker == worker; }) > 0) note(number, unit);
  }
}

std::vector<std::pair<UnitNumber, WorkerId>> UnitLedger::expire(Time now) {
  std::vector<std::pair<UnitNumber, WorkerId>> expired;
  for (auto& [number, unit] : units_) {
    for (Lease& lease : unit.leases) {
      if (lease.expired || lease.expires > now) continue;
      lease.expired = true;
      expired.emplace_back(number, lease.worker);
    }
    drop_leases(unit, [&](const Lease& lease) { return lease.expires + lease_ <= now; });
    note(number, unit);
  }
  return expired;
}

std::size_t UnitLedger::leased(WorkerId worker) const {
  const auto found = leased_.find(worker);
  return found == leased_.end() ? 0 : found->second;
}

std::size_t UnitLedger::running() const {
  std::size_t count = 0;
  for (const auto& [number, unit] : units_) {
    count += std::count_if(unit.leases.begin(), unit.leases.end(), [](const Lease& lease) { return !lease.expired; });
  }
  return count;
}

bool UnitLedger::running(WorkerId worker) const {
  return std::ranges::any_of(units_, [&](const auto& entry) {
    return std::ranges::any_of(entry.second.leases,
                               [&](const Lease& lease) { return lease.worker == worker && !lease.expired; });
  });
}

}  // namespace flowloom
