// What a status says of a chain, whoever is asked: its coordinator, or a reader of its store.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "chain/end.h"
#include "chain/statistics.h"
#include "chain/store.h"
#include "flowloom/v1/chain.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

// All versions and switches, as `Models.List` answers.
v1::ListReply list_reply(const std::vector<ModelRow>& models, const std::vector<SwitchRecord>& switches);

// The facts and figures of the chain so far, and the notes on how exactly it is exact. Left out: the state, the head,
// and what only a coordinator knows (epoch, rate, workers, training).
v1::StatusReply chain_status(const RunSpec& run, const std::string& run_id, const std::string& pinned_build,
                             const ChainStatistics& statistics, const ChainEnd& end, v1::ListReply models);

// The names of those in quarantine, and why: each for one unit. What else they did the store does not know.
std::map<std::string, v1::Quarantine> quarantined_names(const std::vector<WorkerRow>& workers);
void add_quarantined(v1::StatusReply& reply, const std::map<std::string, v1::Quarantine>& names);

// What the store's record says of a training that nobody reports: its last step and evaluation.
v1::TrainingReport stored_training(const Store& store, const RunSpec& run);

// Whether a trainer at work has not reported for many times the pause between two reports.
bool is_silent(const v1::TrainingReport& training);

// What somebody who trusts this training's figures should know.
std::vector<std::string> training_notes(const v1::TrainingReport& training, const v1::ListReply& models);

// The training's part of a status, and these notes.
void add_training(v1::StatusReply& reply, v1::TrainingReport training);

}  // namespace flowloom
