#include "coordinator/jury.h"

#include <algorithm>
#include <cmath>

#include "spec/numerics.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

constexpr std::ptrdiff_t kDraws = 2;  // of one unit by one worker

bool same_draws(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  return std::ranges::equal(a, b, [&](double one, double other) { return same_draw(one, other, tolerance); });
}

}  // namespace

double largest_difference(const UnitData& a, const UnitData& b) {
  double largest = 0;
  for (std::size_t k = 0; k < std::min(a.count(), b.count()); ++k) {
    const double one = stats::log_weight(a.log_p[k], a.log_q[k]), other = stats::log_weight(b.log_p[k], b.log_q[k]);
    if (one != other) largest = std::max(largest, std::abs(one - other));  // -inf on one side: infinite
  }
  return largest;
}

bool Jury::same(const UnitData& a, const UnitData& b) const {
  return same_draws(a.log_p, b.log_p, tolerance_) && same_draws(a.log_q, b.log_q, tolerance_) &&
         (tolerance_ > 0 || same_draws(a.sums, b.sums, 0));
}

bool Jury::drawn_twice(UnitNumber unit, const UnitData& numbers, double threshold) const {
  if (audit_.contains(key_, unit)) return true;
  bool any_valid = false;
  for (std::size_t k = 0; k < numbers.count(); ++k) {
    const double log_p = numbers.log_p[k], log_q = numbers.log_q[k];
    if (stats::log_weight(log_p, log_q) > threshold) return true;
    any_valid = any_valid || stats::is_valid_proposal(log_p, log_q);
  }
  return !any_valid;
}

std::ptrdiff_t Jury::draws(WorkerId worker, UnitNumber unit) const {
  const auto found = cases_.find(unit);
  return found == cases_.end() ? 0 : std::ranges::count(found->second, worker, &Answer::worker);
}

bool Jury::has_drawn(WorkerId worker, UnitNumber unit) const { return draws(worker, unit) > 0; }
bool Jury::may_draw(WorkerId worker, UnitNumber unit) const { return draws(worker, unit) < kDraws; }

void Jury::logged(UnitNumber unit, UnitData numbers, const Authors& authors) {
  cases_[unit].push_back({kLog, std::move(numbers), authors});
}

void Jury::disbelieve(WorkerId worker) {
  for (auto& [unit, answers] : cases_) {
    std::erase_if(answers, [&](const Answer& answer) { return answer.worker == worker; });
  }
  std::erase_if(cases_, [](const auto& entry) { return entry.second.empty(); });
}

Jury::Finding Jury::heard(UnitNumber unit, WorkerId worker, UnitData numbers, double threshold, bool alone) {
  Finding finding;
  if (!cases_.contains(unit) && !drawn_twice(unit, numbers, threshold)) {
    finding.numbers = std::move(numbers);
    finding.worker = worker;
    return finding;
  }
  Case& answers = cases_[unit];
  if (!answers.empty()) ++compared_[worker];
  const auto its_own = std::ranges::find(answers, worker, &Answer::worker);
  if (its_own != answers.end() && !same(its_own->numbers, numbers)) {
    finding.wrong.push_back({worker, largest_difference(its_own->numbers, numbers)});
    std::erase_if(answers, [&](const Answer& answer) { return answer.worker == worker; });
    if (answers.empty()) cases_.erase(unit);
    return finding;
  }
  answers.push_back({worker, std::move(numbers), {}});
  const UnitData& heard = answers.back().numbers;
  const auto agrees = [&](const Answer& answer) { return same(answer.numbers, heard); };
  const auto ally =
      std::ranges::find_if(answers, [&](const Answer& answer) { return !answer.by(worker) && agrees(answer); });
  if (ally == answers.end()) return alone && exhausted(answers) ? take_word(unit) : finding;
  for (const Answer& answer : answers) {
    if (agrees(answer) || answer.worker == kLog || std::ranges::count(finding.wrong, answer.worker, &Wrong::worker) > 0)
      continue;
    finding.wrong.push_back({answer.worker, largest_difference(answer.numbers, heard)});
  }
  const auto first = std::ranges::find_if(answers, agrees);
  finding.worker = first->worker;
  finding.second = finding.worker == worker ? ally->worker : worker;
  if (ally->worker != kLog) ++compared_[ally->worker];
  finding.numbers = std::move(first->numbers);
  cases_.erase(unit);
  return finding;
}

std::optional<WorkerId> Jury::exhausted(const Case& answers) {
  const WorkerId worker = answers.back().worker;
  const bool only = std::ranges::all_of(
      answers, [&](const Answer& answer) { return answer.worker == worker || answer.worker == kLog; });
  if (!only || worker == kLog || std::ranges::count(answers, worker, &Answer::worker) < kDraws) return {};
  return worker;
}

Jury::Finding Jury::take_word(UnitNumber unit) {
  Case& answers = cases_.at(unit);
  const WorkerId worker = answers.back().worker;
  const auto first = std::ranges::find(answers, worker, &Answer::worker);
  const bool in_log = answers.front().worker == kLog && same(answers.front().numbers, first->numbers);
  Finding finding{std::move(first->numbers), in_log ? kLog : worker, in_log ? kNobody : worker, {}};
  cases_.erase(unit);
  return finding;
}

std::optional<std::pair<UnitNumber, Jury::Finding>> Jury::settle(const Alone& alone) {
  const auto found = std::ranges::find_if(cases_, [&](const auto& entry) {
    const auto worker = exhausted(entry.second);
    return worker && alone(*worker, entry.first);
  });
  if (found == cases_.end()) return {};
  const UnitNumber unit = found->first;
  return std::pair(unit, take_word(unit));
}

std::optional<Jury::Dispute> Jury::dispute() const {
  for (const auto& [unit, answers] : cases_) {
    const auto other =
        std::ranges::find_if(answers, [&](const Answer& answer) { return answer.worker != answers.front().worker; });
    if (other != answers.end()) return Dispute{unit, answers.front().worker, other->worker};
  }
  return {};
}

std::uint64_t Jury::compared(WorkerId worker) const {
  const auto found = compared_.find(worker);
  return found == compared_.end() ? 0 : found->second;
}

}  // namespace flowloom
