#include "client/live_block.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "client/numbers.h"
#include "client/results.h"
#include "client/text.h"

namespace flowloom {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kLabel = 10;

std::string labelled(const std::string& label, const std::string& text) { return padded(label, kLabel) + text; }

double ratio(double part, double whole) { return whole > 0 ? part / whole : kNan; }

// The bar takes what 80 columns leave, and a quarter of a narrower terminal.
std::size_t bar_columns(std::size_t columns) { return std::min<std::size_t>(20, columns / 4); }

const v1::ObservableStatus* chosen_observable(const v1::StatusReply& status) {
  for (const auto& row : status.observables()) {
    if (row.name() == status.observable()) return &row;
  }
  return nullptr;
}

std::string observable_text(const v1::StatusReply& status, const char* separator) {
  const auto* row = chosen_observable(status);
  if (!row || std::isnan(row->mean())) return "";
  return row->symbol() + " = " + value_with_error(row->mean(), row->error()) + separator + "tau_int " +
         shown(row->tau_int(), 3);
}

std::string wanted_ess(const v1::TrainingReport& training) {
  return std::isfinite(training.wanted_ess()) && training.wanted_ess() > 0
             ? ", wanted " + shown(training.wanted_ess(), 3)
             : "";
}

std::string from_target(const v1::TrainingReport& training) {
  return training.has_ess_from_target() ? ", from target samples " + shown(training.ess_from_target(), 3) : "";
}

std::vector<std::string> training_block(const v1::TrainingReport& training, std::size_t columns) {
  const double done = ratio(static_cast<double>(training.step()), static_cast<double>(training.max_steps()));
  const bool active = training.state() == v1::TrainingReport::STATE_TRAINING;
  std::vector<std::string> lines;
  lines.push_back(
      labelled("training", bar(done, bar_columns(columns)) + "  step " + std::to_string(training.step()) + " of " +
                               std::to_string(training.max_steps()) + "   " +
                               (active ? "ETA " + duration(training_eta(training)) : training_text(training))));
  lines.push_back(labelled("", "loss " + shown(training.loss(), 5) + "   ESS " + shown(training.ess(), 3) + " (mean " +
                                   shown(training.ess_average(), 3) + from_target(training) + wanted_ess(training) +
                                   ")   " + with_si_prefix(training.samples_per_second()) + " samples/s"));
  return lines;
}

// Where the newest version stands on the workers, while it does not serve; or if some cannot serve it.
std::string newest_text(const v1::StatusReply& status) {
  const auto& models = status.models();
  if (models.versions_size() == 0) return "";
  const std::uint32_t newest = models.versions(models.versions_size() - 1).version();
  const std::string states = version_states(status, newest);
  const bool serves = models.switches_size() > 0 && models.switches(models.switches_size() - 1).version() == newest;
  const bool failed = states.find(state_name(v1::VersionOnWorker::STATE_FAILED)) != std::string::npos;
  if (states.empty() || (serves && !failed)) return "";
  return "; version " + std::to_string(newest) + " on workers: " + states;
}

std::string versions_text(const v1::StatusReply& status) {
  const auto& models = status.models();
  std::string text = std::to_string(models.versions_size()) + " published";
  if (models.switches_size() == 0) return text + ", none serving yet" + newest_text(status);
  const auto& last = models.switches(models.switches_size() - 1);
  text += ", " + std::to_string(models.switches_size()) + (models.switches_size() == 1 ? " switch" : " switches") +
          ": version " + std::to_string(last.version()) + " from proposal " + std::to_string(last.from());
  for (const auto& model : models.versions()) {
    if (model.version() == last.version() && std::isfinite(model.ess())) text += " (ESS " + shown(model.ess(), 3) + ")";
  }
  return text + newest_text(status);
}

std::string workers_text(const v1::StatusReply& status) {
  std::uint64_t leased = 0, trouble = 0;
  for (const auto& worker : status.workers()) {
    leased += worker.leased_units();
    trouble += worker.expired_units() + worker.failures();
  }
  std::string text = std::to_string(status.workers_size()) + ", " + std::to_string(leased) + " units leased";
  if (trouble > 0) text += ", " + std::to_string(trouble) + " expired or failed";
  return text;
}

}  // namespace

double chain_eta(const v1::StatusReply& status) {
  if (status.proposals() >= status.length()) return 0;
  if (status.state() != v1::StatusReply::STATE_RUNNING || !(status.proposals_per_second() > 0)) return kNan;
  return static_cast<double>(status.length() - status.proposals()) / status.proposals_per_second();
}

double training_eta(const v1::TrainingReport& training) {
  if (training.step() <= 0 || !(training.seconds() > 0)) return kNan;
  const auto left = static_cast<double>(std::max<std::int64_t>(0, training.max_steps() - training.step()));
  return left * training.seconds() / static_cast<double>(training.step());
}

std::vector<std::string> live_block(const v1::StatusReply& status, const LiveFrame& frame) {
  const auto proposals = static_cast<double>(status.proposals());
  const double done = ratio(proposals, static_cast<double>(status.length()));
  std::vector<std::string> lines;
  lines.push_back(labelled(status.name() + "  ", duration(frame.seconds)));
  if (status.training().state() != v1::TrainingReport::STATE_UNSPECIFIED) {
    for (std::string& line : training_block(status.training(), frame.columns)) lines.push_back(std::move(line));
  }
  if (!frame.training_only) {
    lines.push_back(labelled("chain", bar(done, bar_columns(frame.columns)) + "  " +
                                          std::to_string(status.proposals()) + " of " +
                                          std::to_string(status.length()) + "   ETA " + duration(chain_eta(status))));
    lines.push_back(labelled("", with_si_prefix(status.proposals_per_second()) + " proposals/s   acceptance " +
                                     shown(status.acceptance(), 3) + "   ESS " + shown(status.ess(), 3)));
    if (const std::string text = observable_text(status, "   "); !text.empty()) {
      lines.push_back(labelled("", text + "   (live estimate)"));
    }
  }
  lines.push_back(labelled("versions", versions_text(status)));
  if (!frame.training_only) {
    lines.push_back(labelled("workers", workers_text(status)));
    lines.push_back(labelled("state", state_text(status)));
  }
  if (!frame.notice.empty()) lines.push_back(labelled("notice", frame.notice));
  if (!frame.footer.empty()) lines.push_back(frame.footer);
  for (std::string& line : lines) line = truncated(line, frame.columns);
  return lines;
}

std::string live_line(const v1::StatusReply& status, double seconds, bool training_only) {
  std::string line = duration(seconds) + "  " + (training_only ? status.name() : state_text(status));
  if (status.training().state() != v1::TrainingReport::STATE_UNSPECIFIED) {
    const auto& training = status.training();
    line += "; training: step " + std::to_string(training.step()) + " of " + std::to_string(training.max_steps()) +
            ", ESS " + shown(training.ess(), 3) +
            (training.state() == v1::TrainingReport::STATE_TRAINING ? "" : ", " + training_text(training));
  }
  if (training_only) return printable(line);
  line += "; chain: " + std::to_string(status.proposals()) + " of " + std::to_string(status.length());
  if (status.proposals() > 0) line += ", acceptance " + shown(status.acceptance(), 3);
  if (const std::string text = observable_text(status, ", "); !text.empty()) line += ", " + text;
  return printable(line);
}

}  // namespace flowloom
