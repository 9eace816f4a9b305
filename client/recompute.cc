#include "client/recompute.h"

#include <atomic>
#include <optional>
#include <thread>

#include "client/local_cluster.h"
#include "client/status_watch.h"
#include "program/program.h"
#include "program/retry.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using Clock = LocalCluster::Clock;

constexpr double kInterval = 0.25;  // seconds between statuses
constexpr auto kTick = 50ms;
constexpr auto kStopDeadline = 60s;

// Whether this status decides.
bool take(RecomputeReport& report, const v1::StatusReply& status, const RecomputeProgress& progress) {
  report.units = status.recheck().checked_units();
  if (progress) progress(report.units);
  report.good = status.state() != v1::StatusReply::STATE_HALTED;
  if (!report.good) report.sentence = status.sentence();
  return !report.good || status.recheck().done();
}

}  // namespace

RecomputeReport recompute_here(const RunDirectory& directory, const RecomputeOptions& options,
                               const RecomputeProgress& progress) {
  std::atomic<int> interrupts = 0;
  const Signals signals([&](int count) { interrupts = count; });
  LocalCluster cluster(
      {.programs = program_folder(),
       .directory = directory,
       .run_file = directory.run_file(),
       .overrides = {},
       .workers = options.workers,
       .device = options.device,
       .log_level = "info",
       .of_coordinator = {"--recheck", std::to_string(options.share), "--recheck-seed", std::to_string(options.seed)}});
  RecomputeReport report;
  bool done = false;
  std::uint64_t seen = 0;
  std::exception_ptr error;
  try {
    cluster.start_coordinator([&] { return interrupts == 0; });
    const StatusWatch watch(directory, kInterval);
    cluster.start_workers();
    while (!done && interrupts == 0) {
      const bool last = cluster.coordinator_left();
      cluster.tick(Clock::now(), false);
      if (const auto status = watch.latest(); status && status->number != seen) {
        seen = status->number;
        done = take(report, status->status, progress);
      }
      if (last && !done) throw Error(ErrorCode::kUnavailable, "The coordinator left before all units were compared.");
      std::this_thread::sleep_for(kTick);
    }
  } catch (...) {
    error = std::current_exception();
  }
  cluster.begin_stop();
  for (const auto deadline = Clock::now() + kStopDeadline; !cluster.all_ended(); std::this_thread::sleep_for(kTick)) {
    if (cluster.coordinator_ended()) cluster.stop_workers();
    if (Clock::now() > deadline) cluster.kill();
  }
  if (error) std::rethrow_exception(error);
  if (!done) throw Error(ErrorCode::kUnavailable, "Stopped before all units were compared.");
  return report;
}

RecomputeReport recompute_there(const std::string& where, const ConnectionOptions& connection,
                                const RecomputeOptions& options, const RecomputeProgress& progress) {
  Retry retry("the coordinator of '" + where + "'", connection.say);
  std::optional<std::uint64_t> epoch;  // of the coordinator that was asked: the next one knows nothing of it
  std::optional<Clock::time_point> lost;
  for (RecomputeReport report;;) {
    try {
      const Connection there(find_coordinator(where, connection));
      for (;; std::this_thread::sleep_for(500ms)) {
        v1::StatusReply status = there.status();
        if (epoch != status.epoch()) {
          there.recheck(options.share, options.seed);
          epoch = status.epoch();
          status = there.status();
        }
        retry.succeeded();
        lost.reset();
        if (status.recheck().seed() != options.seed || status.recheck().share() != options.share) {
          throw Error(ErrorCode::kConflict,
                      "Another sample of units was asked for meanwhile; when that one is done, ask again.");
        }
        if (take(report, status, progress)) return report;
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable || !epoch) throw;
      if (!lost) lost = Clock::now();
      if (connection.wait && Clock::now() - *lost >= *connection.wait) throw;
      retry.failed(error.what(), {}, error.retry_after());
    }
  }
}

}  // namespace flowloom
