#include "coordinator/recheck.h"

#include <algorithm>

namespace flowloom {
namespace {

constexpr std::size_t kBatch = 64;  // units in memory

}  // namespace

void Recheck::restart() {
  next_ = checked_ = 0;
  asked_ = false;
  batch_.clear();
  ledger_.reset();
  decided_.clear();
  jury_ = Jury(key_, 1.0, tolerance_);
}

void Recheck::begin_doubtful() {
  doubtful_ = true;
  restart();
}

void Recheck::begin_sample(const UnitSample& sample) {
  sample_ = sample;
  sampling_ = true;
  if (!doubtful_) restart();
}

std::optional<RecheckQuery> Recheck::take_query() {
  if (!under_way() || wrong_ || !batch_.empty() || std::exchange(asked_, true)) return {};
  return RecheckQuery{++queries_, next_, kBatch, doubtful_ ? std::nullopt : sample_};
}

void Recheck::read(std::uint64_t query, std::vector<UnitRecord> units) {
  if (query != queries_ || !std::exchange(asked_, false)) return;  // of before a new beginning
  if (units.empty()) {
    if (!std::exchange(doubtful_, false)) {
      sampling_ = false;
    } else if (sampling_) {
      restart();
    }
    return;
  }
  batch_ = std::move(units);
  next_ = batch_.back().data.first_index + 1;
  ledger_.emplace(0, batch_.size(), lease_);
  for (UnitNumber place = 0; place < batch_.size(); ++place) {
    const UnitRecord& unit = batch_[place];
    jury_.logged(place, unit.data, {unit.worker, unit.second});
  }
}

std::optional<UnitNumber> Recheck::place_of(std::uint64_t first_index) const {
  const auto first = [](const UnitRecord& unit) { return unit.data.first_index; };
  const auto found = std::ranges::lower_bound(batch_, first_index, {}, first);
  if (found == batch_.end() || first(*found) != first_index) return {};
  return static_cast<UnitNumber>(found - batch_.begin());
}

std::vector<std::uint32_t> Recheck::versions() const {
  std::vector<std::uint32_t> versions;
  for (const UnitRecord& unit : batch_) {
    if (versions.empty() || versions.back() != unit.data.version) versions.push_back(unit.data.version);
  }
  return versions;
}

std::vector<Jury::Wrong> Recheck::heard(UnitNumber place, WorkerId worker, WorkerId witness, UnitData numbers,
                                        bool alone) {
  auto finding = jury_.heard(place, witness, std::move(numbers), 0, alone);
  if (finding.numbers) {
    decide(place, finding);
  } else {
    ledger_->again(place, worker);
  }
  return std::move(finding.wrong);
}

bool Recheck::settle(const Jury::Alone& alone) {
  bool any = false;
  while (ledger_ && !wrong_) {
    const auto settled = jury_.settle(alone);
    if (!settled) break;
    decide(settled->first, settled->second);
    any = true;
  }
  return any;
}

void Recheck::decide(UnitNumber place, const Jury::Finding& finding) {
  ledger_->answered(place);
  const UnitRecord& unit = batch_[place];
  auto& decision = decided_[place];
  if (finding.worker == Jury::kLog) {
    if (finding.second != kNobody) confirmed_.emplace_back(unit.data.first_index, finding.second);
  } else {
    decision = WrongUnit{unit.data.first_index, unit.worker, largest_difference(unit.data, *finding.numbers)};
  }
  advance();
}

void Recheck::advance() {
  for (auto first = decided_.begin(); first != decided_.end() && first->first == ledger_->frontier();
       first = decided_.erase(first)) {
    if (first->second) {
      wrong_ = first->second;
      return;
    }
    ledger_->committed();
    ++checked_;
  }
  if (ledger_->frontier() < batch_.size()) return;
  batch_.clear();
  ledger_.reset();
}

void Recheck::left(WorkerId worker) {
  if (ledger_) ledger_->left(worker);
}

void Recheck::disbelieve(WorkerId worker) {
  left(worker);
  jury_.disbelieve(worker);
}

}  // namespace flowloom
