// Which states of the training become versions: decided by the trainer's own step and ESS, never by the chain
// (docs/exactness.md, rule 5).
//
//   "scheduled"  when a state meets the condition of an entry of [chain] versions without a checkpoint yet
//   "asap"       at the first evaluation; whenever the ESS has grown by [train] publish_gain since the last
//                version; and when training has stopped
//
// A state that does not pass the gate (server/gate.h) is kept. The entries that it would have fulfilled get the version
// published last, so that the chain does not wait for what will not come.
//
// Pure functions. A publication remembers reasons, not numbers of entries, so that it outlives a change of
// the schedule.
#pragma once

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "server/trainer.h"
#include "spec/run_spec.h"

namespace flowloom {

// A state that became a checkpoint.
struct Publication {
  std::int64_t step = 0;
  double ess = 0;
  std::vector<std::string> reasons;  // conditions as `Condition::sentence()`; "gain" and "trained" for "asap"
  std::string sha256;                // of the checkpoint, hexadecimal
  double gate_ess = std::nan("");    // on the gate's draws; NaN: not measured
  std::string refused{};             // by the gate, and why: kept, not published
};

// The one that was published last; null if there is none.
const Publication* last_published(const std::vector<Publication>& publications);

// The largest of their ESS on the gate's draws; NaN if none was published and measured.
double best_gate_ess(const std::vector<Publication>& publications);

// Entries of [chain] versions, by their numbers.
using Entries = std::set<std::uint32_t>;

// The entries that a publication fulfils; none if it was refused.
Entries entries_of(const ChainSpec& chain, const Publication& publication);

// Entries that ask for training and that neither the coordinator (`fulfilled`) nor `published` has a checkpoint for.
Entries open_entries(const ChainSpec& chain, const Entries& fulfilled, const std::vector<Publication>& published);

// The reasons for which this state is to be published; none if it is not.
std::vector<std::string> reasons_to_publish(const RunSpec& run, const TrainerState& state, bool finished,
                                            const Entries& open, const std::vector<Publication>& published);

// Throws `kConflict` for an open entry that asks for a step which `state` has passed.
void refuse_passed_steps(const ChainSpec& chain, const Entries& open, const TrainerState& state);

// Why training that has finished falls short of an open entry, and what to do.
std::string shortfall(const RunSpec& run, const TrainerState& state, const Entries& open);

}  // namespace flowloom
