#include "coordinator/rollout.h"

#include <algorithm>

#include "spec/error.h"

namespace flowloom {

Rollout::Rollout(const RunSpec& run, std::vector<ModelRow> models,
                 const std::vector<std::pair<std::uint32_t, std::uint32_t>>& fulfilled,
                 std::vector<SwitchRecord> switches)
    : asap_(run.chain.asap),
      schedule_(run.chain.versions),
      models_(std::move(models)),
      fulfilled_(fulfilled.begin(), fulfilled.end()),
      switches_(std::move(switches)) {}

void Rollout::check_policy(const RunSpec& run, const RunSpec& before, const std::vector<SwitchRecord>& switches,
                           std::uint64_t frontier) {
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorCode::kConflict, "[chain] versions: " + what +
                                          " Switches that were placed are part of the chain; put them back, or start "
                                          "another run directory with --dir.");
  };
  if (!switches.empty() && run.chain.asap != switches.front().by_clock)
    refuse("the placement of this run was changed.");
  if (run.chain.asap) return;
  const auto& schedule = run.chain.versions;
  for (std::size_t i = 0; i < switches.size(); ++i) {
    const std::string place = "proposal " + std::to_string(switches[i].from);
    if (i >= schedule.size() || schedule[i].from != switches[i].from) {
      refuse("the directory has a switch at " + place + ", and the run file does not.");
    }
    const Condition& placed = before.chain.versions.at(i).when;
    if (schedule[i].when != placed) {
      refuse("the switch at " + place + " was placed by '" + placed.sentence() + "', and the run file says '" +
             schedule[i].when.sentence() + "'.");
    }
  }
  for (std::size_t i = switches.size(); i < schedule.size(); ++i) {
    if (schedule[i].from >= frontier) continue;
    refuse("the run file has a new switch at proposal " + std::to_string(schedule[i].from) +
           ", and the chain is past it (" + std::to_string(frontier) + ").");
  }
}

void Rollout::published(const ModelRow& model, const std::vector<std::uint32_t>& entries) {
  if (!find(model.version)) models_.push_back(model);
  for (const std::uint32_t entry : entries) fulfilled_.emplace(entry, model.version);
}

void Rollout::verified(std::uint32_t version) {
  for (ModelRow& model : models_) {
    if (model.version == version) model.verified = true;
  }
}

const ScheduledVersion* Rollout::entry_for(std::uint64_t index) const {
  const ScheduledVersion* found = nullptr;
  for (const ScheduledVersion& entry : schedule_) {
    if (entry.from <= index) found = &entry;
  }
  return found;
}

std::optional<SwitchRecord> Rollout::due(std::uint64_t first_fresh) const {
  const ModelRow* model = nullptr;
  std::uint64_t from = first_fresh;
  if (asap_) {
    for (const ModelRow& candidate : models_) {
      if (candidate.verified) model = &candidate;
    }
    if (!switches_.empty() && (!model || model->version <= switches_.back().version || from <= switches_.back().from)) {
      return {};
    }
  } else {
    const ScheduledVersion* entry = entry_for(first_fresh);
    if (!entry || (!switches_.empty() && switches_.back().from >= entry->from)) return {};
    // Entries are placed one by one: the first that is not in the table yet.
    entry = &schedule_[switches_.size()];
    const auto bound = fulfilled_.find(static_cast<std::uint32_t>(switches_.size()));
    model = bound == fulfilled_.end() ? nullptr : find(bound->second);
    from = entry->from;
  }
  if (!model || !model->verified) return {};
  return SwitchRecord{from, model->version, model->sha256, asap_};
}

void Rollout::placed(const SwitchRecord& row) {
  switches_.push_back(row);
  placing_.reset();
}

std::optional<std::uint32_t> Rollout::version_for(std::uint64_t index) const {
  if (placing_ && index >= placing_->from) return {};
  if (!asap_) {
    const ScheduledVersion* entry = entry_for(index);
    if (!entry || switches_.empty() || switches_.back().from < entry->from) return {};
  }
  std::optional<std::uint32_t> version;
  for (const SwitchRecord& row : switches_) {
    if (row.from <= index) version = row.version;
  }
  return version;
}

std::string Rollout::waiting_for(std::uint64_t index) const {
  if (asap_) return "waiting for the first version";
  const ScheduledVersion* entry = entry_for(index);
  if (!entry) return "";
  const auto number = static_cast<std::uint32_t>(entry - schedule_.data());
  const std::string name = "the version that serves from proposal " + std::to_string(entry->from);
  if (!fulfilled_.contains(number)) return "waiting for " + name + " (" + entry->when.sentence() + ")";
  return "waiting for a worker to verify " + name;
}

std::vector<std::uint32_t> Rollout::serving(std::uint64_t index) const {
  if (const auto version = version_for(index)) return {*version};
  if (asap_) return needed(index);
  const auto bound = fulfilled_.find(static_cast<std::uint32_t>(switches_.size()));
  if (bound == fulfilled_.end()) return {};
  return {bound->second};
}

std::vector<std::uint32_t> Rollout::needed(std::uint64_t index) const {
  std::vector<std::uint32_t> versions;
  const auto add = [&](std::uint32_t version) {
    if (std::find(versions.begin(), versions.end(), version) == versions.end()) versions.push_back(version);
  };
  for (std::size_t i = 0; i < switches_.size(); ++i) {
    if (i + 1 == switches_.size() || switches_[i + 1].from > index) add(switches_[i].version);
  }
  if (asap_) {
    const std::uint32_t serving = switches_.empty() ? 0 : switches_.back().version;
    for (auto model = models_.rbegin(); model != models_.rend() && model->version > serving; ++model) {
      add(model->version);
      if (!refused_.contains(model->version)) break;
    }
  } else {
    for (const auto& [entry, version] : fulfilled_) {
      if (entry >= switches_.size()) add(version);
    }
  }
  return versions;
}

const ModelRow* Rollout::find(std::uint32_t version) const {
  for (const ModelRow& model : models_) {
    if (model.version == version) return &model;
  }
  return nullptr;
}

}  // namespace flowloom
