#include "stats/acceptance.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace flowloom::stats {
namespace {

void check_not_empty(std::span<const std::uint8_t> accepted) {
  if (accepted.empty()) throw std::invalid_argument("There are no accept flags.");
}

// Calls visit(length) for each maximal run of rejections.
template <class Visitor>
void for_each_run(std::span<const std::uint8_t> accepted, Visitor visit) {
  std::size_t run = 0;
  for (const std::uint8_t flag : accepted) {
    if (flag == 0) {
      ++run;
      continue;
    }
    if (run > 0) visit(run);
    run = 0;
  }
  if (run > 0) visit(run);
}

}  // namespace

double acceptance_rate(std::span<const std::uint8_t> accepted) {
  check_not_empty(accepted);
  const auto rejected = std::count(accepted.begin(), accepted.end(), std::uint8_t{0});
  return 1.0 - static_cast<double>(rejected) / static_cast<double>(accepted.size());
}

double rejection_run_probability(std::span<const std::uint8_t> accepted, std::size_t k) {
  check_not_empty(accepted);
  if (k > accepted.size()) throw std::invalid_argument("The run is longer than the chain.");
  if (k == 0) return 1.0;
  std::size_t hits = 0;
  for_each_run(accepted, [&](std::size_t run) { hits += run >= k ? run - k + 1 : 0; });
  return static_cast<double>(hits) / static_cast<double>(accepted.size() - k + 1);
}

std::size_t longest_rejection_run(std::span<const std::uint8_t> accepted) {
  check_not_empty(accepted);
  std::size_t longest = 0;
  for_each_run(accepted, [&](std::size_t run) { longest = std::max(longest, run); });
  return longest;
}

double tau_acc(std::span<const std::uint8_t> accepted) {
  const std::size_t longest = longest_rejection_run(accepted);
  std::vector<std::size_t> runs_of_length(longest + 1, 0);
  for_each_run(accepted, [&](std::size_t run) { ++runs_of_length[run]; });

  // From the longest k down: each step adds one place to every run of at least k rejections.
  double tau = 0.5;
  std::size_t runs = 0;
  std::size_t hits = 0;
  for (std::size_t k = longest; k >= 1; --k) {
    runs += runs_of_length[k];
    hits += runs;
    tau += static_cast<double>(hits) / static_cast<double>(accepted.size() - k + 1);
  }
  return tau;
}

double AcceptanceAccumulator::rate() const {
  if (count_ == 0) throw std::invalid_argument("There are no accept flags.");
  return static_cast<double>(accepted_) / static_cast<double>(count_);
}

}  // namespace flowloom::stats
