// The chain itself: independence Metropolis over proposals in index order (arXiv:1904.12072; docs/exactness.md, rules
// 1, 2 and 4).
//
// Keeps true:
//   - the start state is the first valid proposal of non-zero weight;
//   - proposal i replaces the current state c if log u_i < (log_p_i - log_q_i) - (log_p_c - log_q_c), with u_i
//     addressed by i; an invalid proposal (rule 2, stats/ess.h) never does;
//   - `current().log_q` is under the version that serves at the frontier: `reweigh` after every switch.
//
// Pure: no clock, file, socket or thread. One owner, no locks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "chain/record.h"
#include "spec/noise.h"

namespace flowloom {

// |log u - Delta| below this counts as undecided when a log is checked: the logged flag stands.
inline constexpr double kUndecided = 1e-12;

// What the chain is at: a configuration, and its numbers.
struct ChainState {
  std::uint64_t index = 0;
  std::uint32_t version = 0;  // under which the configuration was drawn: its name is (version, index)
  double log_p = 0;
  double log_q = 0;        // under the version serving now
  double drawn_log_q = 0;  // under the version it was drawn from
  double log_w() const { return log_p - log_q; }
};

// The state that proposal `k` of a unit is.
inline ChainState state_at(const UnitView& unit, std::size_t k) {
  return {unit.first_index + k, unit.version, unit.log_p[k], unit.log_q[k], unit.log_q[k]};
}

class Chain {
 public:
  // From its beginning, or from where `current` was the state at the frontier.
  explicit Chain(NoiseKey key, std::uint64_t frontier = 0, std::optional<ChainState> current = {})
      : key_(key), frontier_(frontier), current_(current) {}

  // Tests a unit's proposals in order and moves on. `unit.first_index` must be the frontier.
  std::vector<std::uint8_t> advance(const UnitView& unit);

  // The same for a unit read from a log: follows the logged flags. Returns the position of the first flag that the rule
  // contradicts (undecided ones never do), or nothing if all agree.
  std::optional<std::size_t> follow(const UnitView& unit, std::span<const std::uint8_t> accepted);

  // Replaces the current state's log_q by its value under the version that serves from here on.
  void reweigh(double log_q);

  const std::optional<ChainState>& current() const { return current_; }
  std::uint64_t frontier() const { return frontier_; }

 private:
  // Calls `decide(k, margin)` for the unit's proposals in order, which says whether the chain moves to proposal k, and
  // moves it. The margin is Delta - log u: +inf for a start state, -inf for an invalid one.
  template <class Decide>
  void walk(const UnitView& unit, Decide decide);

  NoiseKey key_;
  std::vector<double> log_u_;
  std::uint64_t frontier_;
  std::optional<ChainState> current_;
};

}  // namespace flowloom
