// What a log says up to one of its records: the chain's current state, its figures, where it ends. A snapshot of it
// spares a start the reading of everything before.
//
// `LogState` is pure. One owner, no locks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "chain/chain.h"
#include "chain/end.h"
#include "chain/record.h"
#include "chain/statistics.h"
#include "spec/run_spec.h"

namespace flowloom {

class Store;

class LogState {
 public:
  explicit LogState(const RunSpec& run);

  // The chain's records, in order.
  void add(const Record& record);

  std::uint64_t frontier() const { return frontier_; }
  const std::optional<ChainState>& current() const { return current_; }
  std::size_t switches() const { return switches_; }  // recorded so far
  const ChainStatistics& statistics() const { return statistics_; }
  const ChainEnd& end() const { return end_; }

  // Bytes for `load`, which returns false for those of another build or run, and for damaged ones; it is then as new.
  std::string save() const;
  bool load(std::string_view bytes);

 private:
  template <class Visit>
  void visit_state(Visit& visit);

  RunSpec run_;
  std::uint64_t frontier_ = 0;
  std::optional<ChainState> current_;
  std::uint64_t switches_ = 0;
  ChainStatistics statistics_;
  ChainEnd end_;
};

// What the store's newest snapshot says, and the last record that it covers; as new, and 0, where none can be read.
struct SavedState {
  LogState state;
  std::int64_t sequence = 0;
};
SavedState saved_state(const Store& store, const RunSpec& run);

}  // namespace flowloom
