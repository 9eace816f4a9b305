// Which version serves which proposal: version(i) is a function of the switch table, and this decides the next switch.
//
// Keeps true:
//   - nothing here sees a proposal's value (docs/exactness.md, rules 3 and 4);
//   - a switch lies on a unit boundary, above every earlier one and above everything granted;
//   - it names a version that a worker has verified.
// The caller makes `due` switches durable; until it tells `placed`, nothing at or above them has a version.
//
// Pure; one owner, no locks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chain/record.h"
#include "chain/store.h"
#include "spec/run_spec.h"

namespace flowloom {

class Rollout {
 public:
  // `models`, `fulfilled` (entry, version) and `switches` are the store's; `run` says the schedule.
  Rollout(const RunSpec& run, std::vector<ModelRow> models,
          const std::vector<std::pair<std::uint32_t, std::uint32_t>>& fulfilled, std::vector<SwitchRecord> switches);

  // Throws `kConflict` if `run` contradicts switches that were placed already (by `before`, the directory's run file),
  // or schedules a new one below `frontier`.
  static void check_policy(const RunSpec& run, const RunSpec& before, const std::vector<SwitchRecord>& switches,
                           std::uint64_t frontier);

  void published(const ModelRow& model, const std::vector<std::uint32_t>& entries);
  void verified(std::uint32_t version);
  void refused(std::uint32_t version) { refused_.insert(version); }  // by a worker: an older one may have to serve

  // The switch that must be durable before `first_fresh` (the first proposal never granted) can be granted or, for
  // "asap", that a new version asks for there. Nothing if none is due.
  std::optional<SwitchRecord> due(std::uint64_t first_fresh) const;
  // The switch to `version` at `first_fresh` that an operator asks for. Throws `kNotFound` if there is no such version
  // and `kConflict` if it cannot serve from there.
  SwitchRecord activation(std::uint32_t version, std::uint64_t first_fresh) const;
  // `place`: it is being made durable; `placed`: it is.
  void place(const SwitchRecord& row) { placing_ = row; }
  void placed(const SwitchRecord& row);
  bool placing() const { return placing_.has_value(); }

  // The version of proposal `index`; nothing while its switch is not durable.
  std::optional<std::uint32_t> version_for(std::uint64_t index) const;

  // What proposal `index` waits for, as a sentence for the status.
  std::string waiting_for(std::uint64_t index) const;

  // The versions any of which lets proposal `index` be drawn; none if that waits for a version.
  std::vector<std::uint32_t> serving(std::uint64_t index) const;

  // Versions that workers should hold at frontier `index`: what serves from there on and what may serve next.
  std::vector<std::uint32_t> needed(std::uint64_t index) const;

  const std::vector<SwitchRecord>& switches() const { return switches_; }
  const std::vector<ModelRow>& models() const { return models_; }
  const ModelRow* find(std::uint32_t version) const;
  const std::map<std::uint32_t, std::uint32_t>& fulfilled() const { return fulfilled_; }

 private:
  // The first entry of the schedule at which no switch lies; the size of the schedule if there is none.
  std::size_t next_entry() const;
  std::uint32_t newest_served() const;  // 0: none was

  bool asap_;
  std::vector<ScheduledVersion> schedule_;
  std::vector<ModelRow> models_;
  std::map<std::uint32_t, std::uint32_t> fulfilled_;
  std::set<std::uint32_t> refused_;
  std::vector<SwitchRecord> switches_;  // by `from`
  std::optional<SwitchRecord> placing_;
};

}  // namespace flowloom
