#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "client/numbers.h"
#include "client/results.h"
#include "client/text.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

constexpr std::size_t kLabel = 15;

// Lines that begin with a label in a column of its own.
class Sheet {
 public:
  void add(const std::string& label, const std::string& text) {
    lines_.push_back(padded(label, kLabel) + printable(text));
  }
  void add(const std::string& label, const std::vector<std::string>& lines) {
    for (std::size_t i = 0; i < lines.size(); ++i) add(i == 0 ? label : "", lines[i]);
  }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

std::string whole(std::uint64_t number) { return std::to_string(number); }

// "+0.5 σ"; "–" where the error is 0 or not known.
std::string deviation_text(double sigmas) {
  if (!std::isfinite(sigmas)) return "–";
  const double tenths = std::round(10 * std::abs(sigmas));
  const std::string number = tenths < 10000 ? whole(static_cast<std::uint64_t>(tenths) / 10) + "." +
                                                  whole(static_cast<std::uint64_t>(tenths) % 10)
                                            : rounded(std::abs(sigmas), 2);
  return (std::signbit(sigmas) ? "-" : "+") + number + " σ";
}

std::vector<std::string> live_lines(const v1::StatusReply& status) {
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft});
  for (const auto& row : status.observables()) {
    table.add(
        {row.symbol(), row.name(), value_with_error(row.mean(), row.error()), "tau_int " + shown(row.tau_int(), 3)});
  }
  std::vector<std::string> lines = table.lines();
  lines.insert(lines.begin(), "live estimate (multi-tau); --gamma computes the Gamma method's errors from the log");
  return lines;
}

std::vector<std::string> worker_lines(const v1::StatusReply& status) {
  Table table({Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft});
  for (const auto& worker : status.workers()) {
    const bool trouble = worker.expired_units() + worker.failures() > 0;
    table.add({"#" + whole(worker.worker()), worker.name(), worker.device(),
               whole(worker.answered_units()) + " units answered, " + whole(worker.leased_units()) + " leased" +
                   (worker.audited_units() > 0 ? ", " + whole(worker.audited_units()) + " compared" : "") +
                   (worker.gradient_units() > 0 ? ", " + whole(worker.gradient_units()) + " of gradients" : ""),
               "connected for " + duration(worker.connected_seconds()),
               trouble ? (worker.silent() ? "not answering, " : "") + whole(worker.expired_units()) + " expired, " +
                             whole(worker.failures()) + " failed" +
                             (worker.trouble().empty() ? "" : ", last: " + worker.trouble())
                       : ""});
  }
  return table.lines();
}

// Where each version stands on the workers, in counts; names only for failures.
std::vector<std::string> rollout_lines(const v1::StatusReply& status) {
  constexpr std::size_t kNamed = 3;  // of each version
  std::map<std::uint32_t, std::vector<std::string>> failures;
  std::set<std::uint32_t> versions;
  for (const auto& worker : status.workers()) {
    for (const auto& row : worker.versions()) {
      if (row.state() != v1::VersionOnWorker::STATE_RETIRED) versions.insert(row.version());
      if (row.state() == v1::VersionOnWorker::STATE_FAILED) {
        failures[row.version()].push_back("worker " + whole(worker.worker()) + ", " + printable(worker.name()) + ": " +
                                          printable(row.sentence()));
      }
    }
  }
  std::vector<std::string> lines;
  for (const std::uint32_t version : versions) {
    lines.push_back("version " + whole(version) + ": " + version_states(status, version));
    const auto& named = failures[version];
    for (std::size_t i = 0; i < std::min(kNamed, named.size()); ++i) lines.push_back("  " + named[i]);
    if (named.size() > kNamed) lines.push_back("  and " + whole(named.size() - kNamed) + " more");
  }
  return lines;
}

std::vector<std::string> training_lines(const v1::TrainingReport& training) {
  std::string first = training_text(training) + ", step " + std::to_string(training.step()) + " of at most " +
                      std::to_string(training.max_steps()) + " in " + duration(training.seconds());
  if (training.skipped_steps() > 0) first += ", " + std::to_string(training.skipped_steps()) + " skipped";
  std::string second = "loss " + shown(training.loss(), 6) + ", ESS " + shown(training.ess(), 3);
  if (std::isfinite(training.ess_average())) second += " (mean " + shown(training.ess_average(), 3) + ")";
  if (training.has_ess_from_target()) second += ", from target samples " + shown(training.ess_from_target(), 3);
  if (training.samples_per_second() > 0) second += ", " + with_si_prefix(training.samples_per_second()) + " samples/s";
  if (training.helped_units() > 0) first += ", " + whole(training.helped_units()) + " gradient units by workers";
  return {first, second + ", gradient norm " + shown(training.gradient_norm(), 3) + ", learning rate " +
                     shown(training.learning_rate(), 3) + ", batch " + std::to_string(training.batch())};
}

std::string progress_text(const v1::StatusReply& status) {
  std::string text = whole(status.proposals()) + " of " + whole(status.length());
  if (status.length() > 0) {
    text += " (" + percent(static_cast<double>(status.proposals()) / static_cast<double>(status.length())) + ")";
  }
  if (status.proposals_per_second() > 0) text += ", " + with_si_prefix(status.proposals_per_second()) + " per second";
  return text + ", " + whole(status.invalid()) + " invalid";
}

}  // namespace

std::string log_z_text(double value, double error, const std::optional<double>& exact) {
  if (!std::isfinite(value)) return shown(value);
  const std::string text = value_with_error(value, error);
  return exact ? text + ", exact " + shown(*exact, 7) + ", off by " + deviation_text((value - *exact) / error) : text;
}

std::vector<std::string> observable_lines(std::span<const ObservableRow> rows) {
  const bool exact =
      std::any_of(rows.begin(), rows.end(), [](const ObservableRow& row) { return row.exact.has_value(); });
  Table table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kLeft,
               Align::kRight, Align::kRight});
  std::vector<std::string> head{"", "", "value(error)", "value", "error", "tau_int", "± error"};
  if (exact) head.insert(head.end(), {"exact", "off by"});
  table.add(std::move(head));
  bool all_reliable = true, all_defined = true;
  for (const ObservableRow& row : rows) {
    if (!row.defined) {
      table.add({row.quantity.symbol, row.quantity.name, "undefined **"});
      all_defined = false;
      continue;
    }
    const auto& e = row.estimate;
    all_reliable = all_reliable && e.reliable;
    std::vector<std::string> cells{
        row.quantity.symbol,      row.quantity.name, value_with_error(e.value, e.error) + (e.reliable ? "" : " *"),
        shown(e.value, 7),        shown(e.error, 3), shown(e.tau_int, 4),
        shown(e.tau_int_error, 2)};
    if (row.exact) {
      cells.push_back(shown(*row.exact, 7));
      cells.push_back(deviation_text(row.deviation()));
    }
    table.add(std::move(cells));
  }
  std::vector<std::string> lines = table.lines();
  if (!all_reliable) {
    lines.push_back("* not reliable: the chain is too short for its autocorrelation, or hardly moved");
  }
  // A charge that is frozen looks as if it were known exactly, and what depends on it as if it were measured.
  const auto constant = [](const ObservableRow& row) { return row.defined && row.estimate.error == 0; };
  if (!std::ranges::all_of(rows, constant)) {
    std::string never;
    for (const ObservableRow& row : rows) {
      if (constant(row)) never += (never.empty() ? "" : ", ") + row.quantity.symbol;
    }
    if (!never.empty()) {
      lines.push_back("never changed: " + never +
                      "; what depends on that is an average at this value alone, whatever its error says");
    }
  }
  if (!all_defined) lines.push_back("** no statistics: fewer than two states, or a value that is not finite");
  return lines;
}

std::vector<std::string> notes_under_table(const v1::StatusReply& status, std::uint64_t discarded) {
  std::vector<std::string> notes(status.notes().begin(), status.notes().end());
  std::erase_if(notes,
                [&](const std::string& note) { return discarded > 0 && note.starts_with("Nothing is discarded"); });
  return notes;
}

std::string version_states(const v1::StatusReply& status, std::uint32_t version) {
  std::map<v1::VersionOnWorker::State, std::uint64_t> counts;
  for (const auto& worker : status.workers()) {
    for (const auto& row : worker.versions()) {
      if (row.version() == version) ++counts[row.state()];
    }
  }
  std::string text;
  for (const auto& [state, count] : counts) text += (text.empty() ? "" : ", ") + whole(count) + " " + state_name(state);
  return text;
}

std::vector<std::string> model_lines(const v1::ListReply& models) {
  Table table({Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft});
  for (const auto& model : models.versions()) {
    std::string serves;
    for (const auto& row : models.switches()) {
      if (row.version() != model.version()) continue;
      serves +=
          (serves.empty() ? "from proposal " : ", from ") + whole(row.from()) +
          (row.placement() == v1::Switch::PLACEMENT_SCHEDULE ? ""
                                                             : " (by the " + placement_name(row.placement()) + ")");
    }
    table.add({whole(model.version()), "step " + std::to_string(model.training_step()), "ESS " + shown(model.ess(), 3),
               printable(model.origin()), serves.empty() ? "not serving" : serves,
               (model.verified() ? "" : "not verified, ") + byte_count(model.size()),
               "sha256 " + abbreviated(to_hex(model.sha256()))});
  }
  return table.lines();
}

std::vector<std::string> status_lines(const v1::StatusReply& status,
                                      const std::optional<ChainAnalysis::Result>& analysis) {
  Sheet sheet;
  sheet.add("run", status.name() + "  (" + status.run_id() +
                       (status.epoch() > 0 ? ", epoch " + whole(status.epoch()) : "") + ")");
  sheet.add("state", state_text(status));
  sheet.add("numerics", status.numerics());
  sheet.add("proposals", progress_text(status));
  std::string acceptance = shown(status.acceptance()) + "  (" + whole(status.accepted()) +
                           " accepted, longest rejection run " + whole(status.longest_rejection_run());
  if (analysis) acceptance += ", tau_acc " + shown(analysis->tau_acc, 3);
  sheet.add("acceptance", acceptance + ")");
  sheet.add("ESS", shown(status.ess()));
  sheet.add("ln Z", log_z_text(status.log_z(), status.log_z_error(), analysis ? analysis->exact_log_z : std::nullopt));
  if (status.proposals() == 0) {
    sheet.add("observables", "no proposals yet");
  } else if (analysis) {
    sheet.add("observables", "Gamma method, " + whole(analysis->discarded) + " steps discarded as burn-in");
    sheet.add("", observable_lines(analysis->rows));
  } else {
    sheet.add("observables", live_lines(status));
  }
  const auto models = model_lines(status.models());
  sheet.add("versions", models.empty() ? std::vector<std::string>{"none yet"} : models);
  if (status.training().state() != v1::TrainingReport::STATE_UNSPECIFIED)
    sheet.add("training", training_lines(status.training()));
  if (const auto lines = rollout_lines(status); !lines.empty()) sheet.add("rollout", lines);
  if (status.workers_size() > 0) sheet.add("workers", worker_lines(status));
  for (const auto& row : status.quarantined()) {
    sheet.add("quarantine", "'" + row.name() + "', " + whole(row.wrong_units()) + " wrong" +
                                (row.answered_units() > 0 ? ", " + whole(row.answered_units()) + " answered" : "") +
                                (row.audited_units() > 0 ? ", " + whole(row.audited_units()) + " compared" : "") +
                                (row.expired_units() > 0 ? ", " + whole(row.expired_units()) + " expired" : "") + ": " +
                                row.reason());
  }
  sheet.add("digest", status.head());
  sheet.add("notes", std::vector<std::string>(status.notes().begin(), status.notes().end()));
  return sheet.take();
}

}  // namespace flowloom
