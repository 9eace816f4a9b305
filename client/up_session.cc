#include "client/up_session.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <ostream>
#include <thread>

#include "client/final_report.h"
#include "client/local_cluster.h"
#include "client/offline_status.h"
#include "client/progress.h"
#include "client/resolved.h"
#include "client/results.h"
#include "client/source.h"
#include "client/status_watch.h"
#include "client/text.h"
#include "client/training_files.h"
#include "client/training_summary.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "program/program.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using Clock = LocalCluster::Clock;

constexpr double kInterval = 0.25;  // seconds between statuses
constexpr auto kTick = 50ms;
constexpr auto kFirstStatusDeadline = 60s;
constexpr auto kStopDeadline = 120s;  // for what is leased, and for the server's state
constexpr auto kStoreDeadline = 10s;  // for another command that reads the store

std::filesystem::path directory_for(const UpOptions& options, const RunSpec& run) {
  return options.directory.empty() ? std::filesystem::path("runs") / run.name : options.directory;
}

// If `directory` holds this run to its end, by its own run file and by `run`, there is nothing to start: what the
// latter would change, which would decide nothing any more.
std::optional<std::vector<std::string>> complete_but_for(const RunDirectory& directory, const RunSpec& run) {
  if (!directory.exists()) return {};
  try {
    const Store store = Store::open(directory.store(), Store::Mode::kReadOnly);
    const RunSpec accepted = directory.read_run(load_run_text);
    const std::uint64_t frontier = store.frontier();
    if (store.identity() != run.identity() || frontier < chain_end(store, run) || frontier < chain_end(store, accepted))
      return {};
    return policy_changes(accepted, run);
  } catch (const Error&) {
    return {};  // the coordinator says what is wrong
  }
}

// True if some version that the run wants has yet to be trained.
bool needs_training(const RunSpec& run, const v1::DescribeReply& described) {
  if (run.chain.asap) return true;
  for (std::uint32_t entry = 0; entry < run.chain.versions.size(); ++entry) {
    const auto& fulfilled = described.fulfilled();
    const bool there = std::find(fulfilled.begin(), fulfilled.end(), entry) != fulfilled.end();
    if (!there && run.chain.versions[entry].when.file.empty()) return true;
  }
  return false;
}

class UpSession {
 public:
  UpSession(const UpOptions& options, const Console& console)
      : options_(options),
        console_(console),
        run_(load_run_file(options.run_file, options.overrides)),
        directory_(directory_for(options, run_)) {}

  int run() {
    if (options_.die_with_parent) die_with_parent();
    if (const auto unused = options_.training_only ? std::nullopt : complete_but_for(directory_, run_)) {
      std::string keys;
      for (const std::string& change : *unused) keys += (keys.empty() ? "" : "; ") + change;
      if (!keys.empty()) {
        console_.err << "The chain is complete, so these changes decide nothing and were not taken over: " << keys
                     << "." << std::endl;
      }
      return report();
    }
    if (!directory_.exists()) {
      refuse_unfit_files(run_, std::filesystem::absolute(options_.run_file).parent_path());
      ask_server_about_training_files(run_, options_.run_file, options_.overrides);
    }
    if (const std::string unused = unused_masks(run_); !unused.empty())
      console_.err << "[flow] " << unused << "." << std::endl;
    const Signals signals([this](int count) {
      interrupts_ = count;
      if (count > 2 || reporting_) ::_exit(130);
    });
    cluster_.emplace(ClusterOptions{program_folder(), directory_, options_.run_file, options_.overrides,
                                    options_.training_only ? 0 : options_.workers, options_.device,
                                    options_.training_only, options_.threads, options_.log_level,
                                    options_.accept_rollback});
    const bool terminal = console_.out_is_terminal && !options_.json;
    progress_.emplace(options_.json ? console_.err : console_.out,
                      options_.quiet ? Progress::Mode::kSilent
                      : terminal     ? Progress::Mode::kTerminal
                                     : Progress::Mode::kLines,
                      "Ctrl-C stops in order; the same command goes on where it stopped.", options_.training_only);
    try {
      follow();
    } catch (...) {
      progress_->finish(Progress::Leave::kKeep);
      stop();
      throw;
    }
    progress_->finish(interrupts_ > 0 || halted() ? Progress::Leave::kKeep : Progress::Leave::kWipe);
    if (interrupts_ > 0 && !options_.quiet) {
      console_.err << (options_.training_only ? "Stopping: the server saves its state."
                                              : "Stopping: the server saves its state, leased units are finished.")
                   << " Ctrl-C again kills." << std::endl;
    }
    stop();
    if (interrupts_ > 0) {
      console_.err << "Stopped. To go on: " << command() << std::endl;
      return 130;
    }
    if (options_.training_only) return report_training();
    if (halted()) throw Error(ErrorCode::kHalted, "The run has halted. " + status_->sentence());
    return report();
  }

 private:
  bool halted() const { return status_ && status_->state() == v1::StatusReply::STATE_HALTED; }
  bool complete() const { return status_ && status_->state() == v1::StatusReply::STATE_COMPLETE; }

  // Returns when the coordinator has left, the run has halted, or somebody interrupts.
  void follow() {
    if (!cluster_->start_coordinator([this] { return interrupts_ == 0; })) return;
    const StatusWatch watch(directory_, kInterval);
    for (const auto deadline = Clock::now() + kFirstStatusDeadline; !status_ && !over();
         std::this_thread::sleep_for(kTick)) {
      look(watch);
      if (Clock::now() > deadline)
        throw Error(ErrorCode::kUnavailable, "The coordinator gives no status; see its log.");
    }
    if (over()) return;
    if (options_.training_only) {
      cluster_->start_server();
    } else if (!complete()) {
      if (needs_training(run_, Connection(find_coordinator(directory_.path().string())).describe()))
        cluster_->start_server();
      cluster_->start_workers();
    }
    for (auto deadline = Clock::time_point::max(); !over(); std::this_thread::sleep_for(kTick)) {
      look(watch);
      // A complete chain's coordinator leaves by itself, as soon as its clients know.
      if (!options_.training_only && complete() && deadline == Clock::time_point::max()) deadline = Clock::now() + 30s;
      if (Clock::now() > deadline) return;
    }
    look(watch);
  }

  bool over() const {
    const bool done = options_.training_only ? training_over() : halted();
    return interrupts_ > 0 || done || cluster_->coordinator_left();
  }

  bool training_over() const {
    if (!status_) return false;
    const auto state = status_->training().state();
    return state == v1::TrainingReport::STATE_TRAINED || state == v1::TrainingReport::STATE_FAILED;
  }

  void look(const StatusWatch& watch) {
    const auto now = Clock::now();
    const bool may_train = !status_ || status_->training().state() != v1::TrainingReport::STATE_FAILED;
    for (const std::string& notice : cluster_->tick(now, may_train)) progress_->notice(notice);
    const auto seen = watch.latest();
    if (!seen || seen->number == seen_) return;
    seen_ = seen->number;
    status_ = seen->status;
    rate_.seen(status_->proposals(), now);
    progress_->show(*status_, now);
  }

  // Ends all programs, in order if they let it.
  void stop() {
    cluster_->begin_stop();
    for (const auto deadline = Clock::now() + kStopDeadline; !cluster_->all_ended();
         std::this_thread::sleep_for(kTick)) {
      if (cluster_->coordinator_ended()) cluster_->stop_workers();
      if (interrupts_ > 1 || Clock::now() > deadline) cluster_->kill();
    }
  }

  std::string command() const {
    std::string text =
        console_.program + (options_.training_only ? " train " : " up ") + shell_word(options_.run_file.string());
    if (!options_.directory.empty()) text += " --dir " + shell_word(directory_.path().string());
    for (const std::string& assignment : options_.overrides) text += " --set " + shell_word(assignment);
    if (options_.training_only) return text;
    return text + " --workers " + std::to_string(options_.workers) + " --device " + options_.device;
  }

  // Somebody may be reading the store at this moment: waits for it.
  std::unique_ptr<Source> open_when_free() const {
    for (const auto deadline = Clock::now() + kStoreDeadline;; std::this_thread::sleep_for(200ms)) {
      try {
        return open_store_source(directory_.path());
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kInUse || Clock::now() > deadline) throw;
      }
    }
  }

  int report() {
    reporting_ = true;
    const auto source = open_when_free();
    FinalReport final{source->status(), {}, rate_, 0, directory_.path(), console_.program};
    if (final.status.state() != v1::StatusReply::STATE_COMPLETE) {
      console_.err << "The chain was drained at proposal " << final.status.proposals() << " of "
                   << final.status.length() << ". To go on: " << command() << std::endl;
      return 1;
    }
    final.analysis = analyse(*source, options_.burn_in);
    if (cluster_) {
      rate_.seen(final.status.proposals(), Clock::now());
      final.rate = rate_;
      final.wall_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    }
    if (options_.json) {
      console_.out << json_text(final_json(final)) << "\n";
    } else {
      console_.print(final_lines(final));
    }
    return 0;
  }

  int report_training() {
    reporting_ = true;
    const v1::TrainingReport training = status_ ? status_->training() : v1::TrainingReport();
    if (training.state() == v1::TrainingReport::STATE_FAILED) {
      throw Error(ErrorCode::kHalted, "Training has failed. " + training.sentence());
    }
    if (training.state() != v1::TrainingReport::STATE_TRAINED) {
      throw Error(ErrorCode::kUnavailable, "Training was stopped. To go on: " + command());
    }
    const auto source = open_when_free();
    const TrainingSummary summary{status_->name(), training, source->training(), source->models(), directory_.path()};
    if (options_.json) {
      console_.out << json_text(training_summary_json(summary)) << "\n";
    } else {
      console_.print(training_summary_lines(summary));
    }
    return 0;
  }

  UpOptions options_;
  Console console_;
  RunSpec run_;
  RunDirectory directory_;
  Clock::time_point start_ = Clock::now();
  std::atomic<int> interrupts_ = 0;
  std::atomic<bool> reporting_ = false;  // all programs have ended: Ctrl-C may end us on the spot
  std::optional<LocalCluster> cluster_;
  std::optional<Progress> progress_;
  std::optional<v1::StatusReply> status_;
  std::uint64_t seen_ = 0;
  RateMeter rate_;
};

}  // namespace

int up(const UpOptions& options, const Console& console) { return UpSession(options, console).run(); }

}  // namespace flowloom
