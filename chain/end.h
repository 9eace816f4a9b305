// Where a chain ends, and the events of its log: a stop that looks at the chain (docs/exactness.md, rule 6), and
// decisions of the run's owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chain/record.h"
#include "spec/run_spec.h"

namespace flowloom {

// The tests lie at the first unit boundaries at or after 10000, 20000, 40000, … proposals.
bool on_until_grid(std::uint64_t frontier, std::size_t unit);

// The record that ends a chain at `frontier`: its length was chosen by the data.
EventRecord until_event(const Until& until, std::uint64_t frontier);

// The record of a change, by hand and with the chain under way, of what the rest of the chain is drawn with.
EventRecord decision_event(const std::string& change, std::uint64_t frontier);

// Where a chain ends, and what was decided on the way, as its log says. Pure.
class ChainEnd {
 public:
  explicit ChainEnd(const RunSpec& run);

  // Records in order; what comes before a unit need not be shown. An event of another `until` than the run's does not
  // end the chain: it went on, or will.
  void add(const Record& record);

  // The first proposal that does not belong to the chain any more, on a unit boundary.
  std::uint64_t index() const;

  // True if an `until` ended it.
  bool chosen_by_data() const { return last_ && until_ && last_->text == until_event(*until_, last_->at).text; }

  const std::vector<EventRecord>& decisions() const { return decisions_; }

  // As stats/acceptance.h says. What ends the chain is decided by the run file at hand, not by the one that was.
  template <class Visit>
  void visit_state(Visit& visit) {
    std::uint64_t count = decisions_.size();
    visit(count);
    decisions_.resize(std::min<std::uint64_t>(count, 1u << 16));
    for (EventRecord& decision : decisions_) visit(decision.at), visit(decision.text);
    bool any = last_.has_value();
    visit(any);
    if (!any) return last_.reset();
    if (!last_) last_.emplace();
    visit(last_->at), visit(last_->text);
  }

 private:
  std::optional<Until> until_;
  std::uint64_t length_;
  std::optional<EventRecord> last_;  // after the last unit
  std::vector<EventRecord> decisions_;
};

}  // namespace flowloom
