// What `flowloom train` prints at the end, and what a study compares. Pure.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "flowloom/v1/chain.pb.h"

namespace flowloom {

struct TrainingSummary {
  std::string name;
  v1::TrainingReport training;            // the last one
  std::vector<v1::TrainingPoint> record;  // in the order of its steps
  v1::ListReply models;
  std::filesystem::path directory;
};

// The first evaluation whose ESS is at least `ess`; nothing if there is none.
std::optional<v1::TrainingPoint> first_reaching(const std::vector<v1::TrainingPoint>& record, double ess);

// The levels of ESS that a summary speaks of.
inline constexpr double kEssLevels[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};

std::vector<std::string> training_summary_lines(const TrainingSummary& summary);
nlohmann::json training_summary_json(const TrainingSummary& summary);

}  // namespace flowloom
