#include "coordinator/jury.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "stats/ess.h"

namespace flowloom {
namespace {

constexpr std::ptrdiff_t kDraws = 2;  // of one unit by one worker

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  return std::ranges::equal(a, b, [&](double x, double y) {
    return x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= tolerance * (1 + std::abs(x));
  });
}

}  // namespace

bool Jury::same(const UnitData& a, const UnitData& b) const {
  if (tolerance_ > 0) return close(a.log_p, b.log_p, tolerance_) && close(a.log_q, b.log_q, tolerance_);
  return same_bits(a.log_p, b.log_p) && same_bits(a.log_q, b.log_q) && same_bits(a.sums, b.sums);
}

bool Jury::drawn_twice(UnitNumber unit, const UnitData& numbers, double threshold) const {
  if (uniforms(key_, Purpose::kAudit, unit, 0)[0] <= share_) return true;
  for (std::size_t k = 0; k < numbers.count(); ++k) {
    if (stats::log_weight(numbers.log_p[k], numbers.log_q[k]) > threshold) return true;
  }
  return false;
}

bool Jury::may_draw(WorkerId worker, UnitNumber unit) const {
  const auto found = cases_.find(unit);
  return found == cases_.end() || std::ranges::count(found->second, worker, &Answer::worker) < kDraws;
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
    std::erase_if(answers, [&](const Answer& answer) { return answer.worker == worker; });
    finding.wrong.push_back(worker);
    if (answers.empty()) cases_.erase(unit);
    return finding;
  }
  answers.push_back({worker, std::move(numbers)});
  const UnitData& heard = answers.back().numbers;
  const auto agrees = [&](const Answer& answer) { return same(answer.numbers, heard); };
  const auto ally =
      std::ranges::find_if(answers, [&](const Answer& answer) { return answer.worker != worker && agrees(answer); });
  const bool sole = alone && answers.size() > 1 &&
                    std::ranges::all_of(answers, [&](const Answer& answer) { return answer.worker == worker; });
  if (ally == answers.end() && !sole) return finding;
  for (const Answer& answer : answers) {
    if (!agrees(answer) && std::ranges::count(finding.wrong, answer.worker) == 0)
      finding.wrong.push_back(answer.worker);
  }
  const auto first = std::ranges::find_if(answers, agrees);
  finding.worker = first->worker;
  finding.second = worker;
  if (finding.worker == worker && ally != answers.end()) finding.second = ally->worker;
  if (ally != answers.end()) ++compared_[ally->worker];
  finding.numbers = std::move(first->numbers);
  cases_.erase(unit);
  return finding;
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
