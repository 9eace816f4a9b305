#include "client/training_summary.h"

#include <cmath>

#include "chain/status_reply.h"
#include "client/numbers.h"
#include "client/results.h"
#include "client/text.h"

namespace flowloom {

std::optional<v1::TrainingPoint> first_reaching(const std::vector<v1::TrainingPoint>& record, double ess) {
  for (const v1::TrainingPoint& point : record) {
    if (point.ess() >= ess) return point;
  }
  return {};
}

std::vector<std::string> training_summary_lines(const TrainingSummary& summary) {
  const v1::TrainingReport& training = summary.training;
  std::vector<std::string> lines;
  const auto fact = [&](const std::string& label, const std::string& text) {
    lines.push_back("  " + padded(label, 13) + printable(text));
  };
  lines.push_back(printable(summary.name) + ": trained, " + std::to_string(training.step()) + " steps in " +
                  duration(training.seconds()));
  lines.emplace_back();
  fact("ESS", shown(training.ess()) +
                  (training.has_ess_from_target() ? ", from target samples " + shown(training.ess_from_target()) : ""));
  Table reached({Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
  for (const double level : kEssLevels) {
    const auto point = first_reaching(summary.record, level);
    if (!point) break;
    reached.add({"ESS " + shown(level, 1), "step " + std::to_string(point->step()), duration(point->seconds()),
                 with_si_prefix(static_cast<double>(point->samples())) + " samples"});
  }
  bool first = true;
  for (const std::string& line : reached.lines()) {
    fact(first ? "reached" : "", line);
    first = false;
  }
  if (training.skipped_steps() > 0) fact("skipped", std::to_string(training.skipped_steps()) + " steps");
  first = true;
  for (const std::string& line : model_lines(summary.models)) {
    fact(first ? "versions" : "", line);
    first = false;
  }
  first = true;
  for (const std::string& note : training_notes(training, summary.models)) {
    fact(first ? "notes" : "", note);
    first = false;
  }
  const std::string directory = shell_word(summary.directory.string());
  fact("directory", summary.directory.string());
  fact("next", "flowloom training " + directory + " > training.csv");
  return lines;
}

nlohmann::json training_summary_json(const TrainingSummary& summary) {
  const auto number = [](double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); };
  nlohmann::json reached = nlohmann::json::array();
  for (const double level : kEssLevels) {
    if (const auto point = first_reaching(summary.record, level)) {
      reached.push_back({{"ess", level},
                         {"step", point->step()},
                         {"seconds", point->seconds()},
                         {"core_seconds", point->core_seconds()},
                         {"samples", point->samples()}});
    }
  }
  const v1::TrainingReport& training = summary.training;
  return {{"name", summary.name},
          {"state", state_name(training.state())},
          {"steps", training.step()},
          {"skipped", training.skipped_steps()},
          {"seconds", training.seconds()},
          {"loss", number(training.loss())},
          {"ess", number(training.ess())},
          {"ess_from_target", training.has_ess_from_target() ? number(training.ess_from_target()) : nlohmann::json()},
          {"reached", reached},
          {"notes", training_notes(training, summary.models)},
          {"models", models_json(summary.models)},
          {"directory", summary.directory.string()}};
}

}  // namespace flowloom
