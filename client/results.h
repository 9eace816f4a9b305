// A status and an analysis as people and programs read them. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chain/analysis.h"
#include "flowloom/v1/chain.pb.h"

namespace flowloom {

// "running", "waiting", …; "not running" for a run that nobody serves.
std::string state_name(v1::StatusReply::State state);

// "training", "trained", "stopped", "failed"; empty if no trainer has reported.
std::string state_name(v1::TrainingReport::State state);
std::string state_name(v1::VersionOnWorker::State state);

// Who placed a switch: "schedule", "clock", "operator".
std::string placement_name(v1::Switch::Placement placement);

// On how many workers a version is in which state: "3 active, 1 failed".
std::string version_states(const v1::StatusReply& status, std::uint32_t version);

// One line: "waiting for a worker", "running: reweighing …", "complete".
std::string state_text(const v1::StatusReply& status);

// "training", "trained", "stopped: …", "failed: …".
std::string training_text(const v1::TrainingReport& training);

// All fields; digests in hexadecimal, numbers that are not finite as null.
nlohmann::json status_json(const v1::StatusReply& status);
nlohmann::json models_json(const v1::ListReply& models);
nlohmann::json analysis_json(const ChainAnalysis::Result& result);

// One object as text, one line unless `indented`; bytes that are no UTF-8 are replaced.
std::string json_text(const nlohmann::json& json, bool indented = true);

// What `flowloom status` shows. With an analysis (Gamma method) its figures stand in place of the live estimates.
std::vector<std::string> status_lines(const v1::StatusReply& status,
                                      const std::optional<ChainAnalysis::Result>& analysis = {});

// The notes of a status that are true of a table without the first `discarded` steps.
std::vector<std::string> notes_under_table(const v1::StatusReply& status, std::uint64_t discarded);

// The table of observables: symbol, name, value(error), value, error, tau_int; where something is known exactly, that
// and how many errors the value is off; and a footnote if one is not reliable.
std::vector<std::string> observable_lines(std::span<const ObservableRow> rows);

// ln Z, and what it is exactly where that is known.
std::string log_z_text(double value, double error, const std::optional<double>& exact);
nlohmann::json observables_json(std::span<const ObservableRow> rows);

// Versions, and from which proposal on each serves.
std::vector<std::string> model_lines(const v1::ListReply& models);

}  // namespace flowloom
