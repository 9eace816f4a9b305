#include "chain/end.h"

#include <algorithm>

namespace flowloom {

bool on_until_grid(std::uint64_t frontier, std::size_t unit) {
  for (std::uint64_t point = 10000; point <= frontier; point *= 2) {
    if ((point + unit - 1) / unit * unit == frontier) return true;
  }
  return false;
}

constexpr char kDecision[] = "decided by hand: ";

EventRecord decision_event(const std::string& change, std::uint64_t frontier) { return {frontier, kDecision + change}; }

EventRecord until_event(const Until& until, std::uint64_t frontier) {
  return {frontier, "the length was chosen by the data: the relative error of " + until.observable + " reached " +
                        nlohmann::json(until.relative_error).dump()};
}

ChainEnd::ChainEnd(const RunSpec& run) : until_(run.chain.until), length_(run.length_in_units() * run.unit) {}

void ChainEnd::add(const Record& record) {
  if (std::holds_alternative<UnitRecord>(record) || std::holds_alternative<RewindRecord>(record)) last_.reset();
  if (const auto* rewind = std::get_if<RewindRecord>(&record)) {
    decisions_.push_back(decision_event("what came from here on was left behind (" + rewind->reason + ")", rewind->to));
  }
  const auto* event = std::get_if<EventRecord>(&record);
  if (!event) return;
  if (event->text.starts_with(kDecision)) {
    decisions_.push_back(*event);
  } else {
    last_ = *event;
  }
}

std::uint64_t ChainEnd::index() const { return chosen_by_data() ? std::min(length_, last_->at) : length_; }

}  // namespace flowloom
