#include "coordinator/rollout.h"

#include <algorithm>

#include "spec/error.h"

namespace flowloom {
namespace {

bool switch_at(const std::vector<SwitchRecord>& switches, std::uint64_t from) {
  return std::ranges::find(switches, from, &SwitchRecord::from) != switches.end();
}

}  // namespace

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
  const auto by_operator = [](const SwitchRecord& row) { return row.placement == Placement::kOperator; };
  const auto own = std::ranges::find_if_not(switches, by_operator);
  if (own != switches.end() && run.chain.asap != (own->placement == Placement::kClock))
    refuse("the placement of this run was changed.");
  if (run.chain.asap) return;
  const auto entry_at = [](const RunSpec& spec, std::uint64_t from) {
    const auto& schedule = spec.chain.versions;
    const auto found = std::ranges::find(schedule, from, &ScheduledVersion::from);
    return found == schedule.end() ? nullptr : &*found;
  };
  for (const SwitchRecord& row : switches) {
    if (by_operator(row)) continue;
    const std::string place = "proposal " + std::to_string(row.from);
    const ScheduledVersion* entry = entry_at(run, row.from);
    if (!entry) refuse("the directory has a switch at " + place + ", and the run file does not.");
    const ScheduledVersion* placed = entry_at(before, row.from);
    if (placed && entry->when != placed->when) {
      refuse("the switch at " + place + " was placed by '" + placed->when.sentence() + "', and the run file says '" +
             entry->when.sentence() + "'.");
    }
  }
  const std::uint64_t passed = switches.empty() ? frontier : std::max(frontier, switches.back().from);
  for (const ScheduledVersion& entry : run.chain.versions) {
    if (entry.from >= passed || switch_at(switches, entry.from)) continue;
    refuse("the run file has a new switch at proposal " + std::to_string(entry.from) + ", and the chain is past it (" +
           std::to_string(passed) + ").");
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

std::size_t Rollout::next_entry() const {
  const auto open = [&](const ScheduledVersion& entry) { return !switch_at(switches_, entry.from); };
  return static_cast<std::size_t>(std::ranges::find_if(schedule_, open) - schedule_.begin());
}

std::optional<SwitchRecord> Rollout::due(std::uint64_t first_fresh) const {
  const ModelRow* model = nullptr;
  std::uint64_t from = first_fresh;
  if (asap_) {
    for (const ModelRow& candidate : models_) {
      if (candidate.verified) model = &candidate;
    }
    if (!switches_.empty() && (!model || model->version <= newest_served() || from <= switches_.back().from)) return {};
  } else {
    // Entries are placed one by one.
    const std::size_t entry = next_entry();
    if (entry == schedule_.size() || schedule_[entry].from > first_fresh) return {};
    const auto bound = fulfilled_.find(static_cast<std::uint32_t>(entry));
    model = bound == fulfilled_.end() ? nullptr : find(bound->second);
    from = schedule_[entry].from;
  }
  if (!model || !model->verified) return {};
  return SwitchRecord{from, model->version, model->sha256, asap_ ? Placement::kClock : Placement::kSchedule};
}

std::uint32_t Rollout::newest_served() const {
  std::uint32_t newest = 0;
  for (const SwitchRecord& row : switches_) newest = std::max(newest, row.version);
  return newest;
}

SwitchRecord Rollout::activation(std::uint32_t version, std::uint64_t first_fresh) const {
  const std::string name = "version " + std::to_string(version);
  const ModelRow* model = find(version);
  if (!model) throw Error(ErrorCode::kNotFound, "There is no " + name + "; 'flowloom models' lists them.");
  if (!model->verified) {
    throw Error(ErrorCode::kConflict, "No worker has verified " + name + " yet; try again when one has.");
  }
  if (placing_ || (!switches_.empty() && switches_.back().from >= first_fresh)) {
    const std::uint64_t from = placing_ ? placing_->from : switches_.back().from;
    throw Error(ErrorCode::kConflict, "A switch lies at proposal " + std::to_string(from) +
                                          ", and nothing above it is granted yet; try again in a moment.");
  }
  if (!switches_.empty() && switches_.back().version == version) {
    throw Error(ErrorCode::kConflict, "The chain draws under " + name + " already.");
  }
  return {first_fresh, version, model->sha256, Placement::kOperator};
}

void Rollout::placed(const SwitchRecord& row) {
  switches_.push_back(row);
  placing_.reset();
}

std::optional<std::uint32_t> Rollout::version_for(std::uint64_t index) const {
  if (placing_ && index >= placing_->from) return {};
  if (!asap_) {
    const std::size_t entry = next_entry();
    if (entry < schedule_.size() && schedule_[entry].from <= index) return {};
  }
  std::optional<std::uint32_t> version;
  for (const SwitchRecord& row : switches_) {
    if (row.from <= index) version = row.version;
  }
  return version;
}

std::string Rollout::waiting_for(std::uint64_t index) const {
  if (asap_) return "waiting for the first version";
  const std::size_t number = next_entry();
  if (number == schedule_.size() || schedule_[number].from > index) return "";
  const ScheduledVersion& entry = schedule_[number];
  const std::string name = "the version that serves from proposal " + std::to_string(entry.from);
  if (!fulfilled_.contains(static_cast<std::uint32_t>(number))) {
    return "waiting for " + name + " (" + entry.when.sentence() + ")";
  }
  return "waiting for a worker to verify " + name;
}

std::vector<std::uint32_t> Rollout::serving(std::uint64_t index) const {
  if (const auto version = version_for(index)) return {*version};
  if (asap_) return needed(index);
  const auto bound = fulfilled_.find(static_cast<std::uint32_t>(next_entry()));
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
    for (auto model = models_.rbegin(); model != models_.rend() && model->version > newest_served(); ++model) {
      add(model->version);
      if (!refused_.contains(model->version)) break;
    }
  } else {
    for (const auto& [entry, version] : fulfilled_) {
      if (entry < schedule_.size() && !switch_at(switches_, schedule_[entry].from)) add(version);
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
