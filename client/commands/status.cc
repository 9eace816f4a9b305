// flowloom status: the figures of a run, live or from its store, once or again and again.
#include <unistd.h>

#include <chrono>
#include <ostream>
#include <stop_token>

#include "client/commands/commands.h"
#include "client/progress.h"
#include "client/results.h"
#include "client/source.h"
#include "program/program.h"
#include "program/retry.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct StatusOptions {
  Place place;
  bool watch = false, json = false, gamma = false;
};

constexpr double kInterval = 1.0;  // seconds

// The source of a watch, as soon as nobody else holds the store; nothing if `stop` was requested.
std::unique_ptr<Source> open_when_free(const Place& place, std::stop_token stop) {
  using Clock = std::chrono::steady_clock;
  Retry retry("'" + place.where + "'", place.options.say);
  for (const auto begin = Clock::now();;) {
    try {
      return open_source(place.where, place.options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInUse) throw;
      if (place.options.wait && Clock::now() - begin >= *place.options.wait) throw;
      if (!retry.failed(error.what(), stop)) return {};
    }
  }
}

int watch(StatusOptions options, const Console& console) {
  std::stop_source stop;
  const Signals signals([&](int) { stop.request_stop(); });
  const bool terminal = console.out_is_terminal && !options.json;
  Progress progress(console.out,
                    options.json ? Progress::Mode::kSilent
                    : terminal   ? Progress::Mode::kTerminal
                                 : Progress::Mode::kLines,
                    "Ctrl-C leaves; the run goes on.");
  options.place.options.say = [&](const std::string& line) {
    if (options.json) {
      console.err << line << std::endl;
    } else {
      progress.notice(line);
    }
  };
  const auto source = open_when_free(options.place, stop.get_token());
  if (!source) return 130;
  auto last = v1::StatusReply::STATE_UNSPECIFIED;
  source->watch(kInterval, stop.get_token(), [&](const v1::StatusReply& status) {
    if (options.json) console.out << json_text(status_json(status), false) << std::endl;
    progress.show(status, Progress::Clock::now());
    last = status.state();
    return console.out.good() && last != v1::StatusReply::STATE_COMPLETE && last != v1::StatusReply::STATE_HALTED;
  });
  progress.finish(Progress::Leave::kKeep);
  if (stop.stop_requested()) return 130;
  return last == v1::StatusReply::STATE_HALTED ? 1 : 0;
}

int status(const StatusOptions& options, const Console& console) {
  if (options.watch) return watch(options, console);
  const auto source = open_source(options.place.where, options.place.options);
  const v1::StatusReply reply = source->status();
  std::optional<ChainAnalysis::Result> analysis;
  if (options.gamma || !source->live()) analysis = analyse(*source, 0);
  if (options.json) {
    nlohmann::json json = status_json(reply);
    json["live"] = source->live();
    if (analysis) json["analysis"] = analysis_json(*analysis);
    console.out << json_text(json) << "\n";
  } else {
    console.print(status_lines(reply, analysis));
  }
  return 0;
}

}  // namespace

void add_status(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("status", "Show how far a run is and what it has found");
  auto options = std::make_shared<StatusOptions>();
  add_place(*command, options->place);
  add_wait(*command, options->place);
  command->add_flag("--watch", options->watch, "Follow it until it ends or Ctrl-C");
  command->add_flag("--json", options->json, "As one JSON object (with --watch: one a line)");
  command->add_flag("--gamma", options->gamma, "Read the whole log and compute errors by the Gamma method");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return status(*options, console); }; });
}

}  // namespace flowloom
