// Acceptance and rejection runs of independence Metropolis.
//
// Flags are one byte per proposal in chain order: zero means rejected, anything else accepted. No flags throw
// `invalid_argument`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace flowloom::stats {

// Accepted fraction of the proposals. Weights of log-normal width sigma give erfc(sigma / 2).
double acceptance_rate(std::span<const std::uint8_t> accepted);

// p_rej(k): the fraction of the N - k + 1 places in the chain that are followed by k rejections in a row.
// p_rej(0) = 1; `invalid_argument` for k > N.
double rejection_run_probability(std::span<const std::uint8_t> accepted, std::size_t k);

// A run far above 10 / acceptance_rate is the mark of a mode that the model undersamples.
std::size_t longest_rejection_run(std::span<const std::uint8_t> accepted);

// tau_acc = 1/2 + sum_{k>=1} p_rej(k), in chain steps (Albergo, Kanwar, Shanahan, arXiv:1904.12072): the
// integrated autocorrelation time of an observable that is independent of the weights. Observables correlated
// with the weights can be slower. No window cuts it, so it is the better figure where wide weights make the tail slow.
double tau_acc(std::span<const std::uint8_t> accepted);

// Rate, longest and current run of a stream in O(1) memory. Runs depend on order, so there is no merge. One
// owner, no locks.
class AcceptanceAccumulator {
 public:
  void add(std::span<const std::uint8_t> accepted) {
    count_ += accepted.size();
    for (const std::uint8_t flag : accepted) {
      accepted_ += flag != 0;
      current_run_ = flag != 0 ? 0 : current_run_ + 1;
      longest_run_ = std::max(longest_run_, current_run_);
    }
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t accepted() const { return accepted_; }

  // Throws `invalid_argument` while empty.
  double rate() const;

  // Rejections in a row: the most so far, and those since the last acceptance.
  std::uint64_t longest_run() const { return longest_run_; }
  std::uint64_t current_run() const { return current_run_; }

  // Shows `visit` everything that is held here, field by field and always in the same order, to be saved or replaced.
  template <class Visit>
  void visit_state(Visit& visit) {
    visit(count_), visit(accepted_), visit(current_run_), visit(longest_run_);
  }

 private:
  std::uint64_t count_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t current_run_ = 0;
  std::uint64_t longest_run_ = 0;
};

}  // namespace flowloom::stats
