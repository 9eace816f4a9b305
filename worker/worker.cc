#include "worker/worker.h"

#include <spdlog/spdlog.h>

#include "program/retry.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void work(PeerFinder finder, Engines engines, const WorkerOptions& options, std::stop_token stop) {
  Retry retry(finder.name(), [](const std::string& line) { spdlog::warn("{}", line); });
  ModelShelf shelf;
  LastSeen last_seen;
  bool joined = false;
  const auto deadline = Clock::now() + options.wait;
  while (!stop.stop_requested()) {
    SessionEnd end;
    try {
      Session session(finder.find(), engines, shelf, last_seen, options.session, [&] {
        joined = true;
        retry.succeeded();
      });
      end = session.run(stop);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;
      end.sentence = error.what();
      end.reconnect_after = error.retry_after();
    }
    switch (end.kind) {
      case SessionEnd::Kind::kStopped:
        break;
      case SessionEnd::Kind::kAgain:
        spdlog::info("{} Trying again with all engines.", end.sentence);
        break;
      case SessionEnd::Kind::kGoodbye:
        if (end.reconnect_after.count() == 0) {
          spdlog::info("the coordinator said goodbye: {}", end.sentence);
          return;
        }
        retry.failed(end.sentence, stop, end.reconnect_after);
        break;
      case SessionEnd::Kind::kLost:
        if (!joined && Clock::now() >= deadline) {
          throw Error(ErrorCode::kUnavailable, "No answer from " + finder.name() + " within " +
                                                   std::to_string(options.wait.count() / 1000) + " seconds (" +
                                                   end.sentence + "); start it, or wait longer with --wait.");
        }
        retry.failed(end.sentence, stop, end.reconnect_after);
        break;
    }
  }
  spdlog::info("left, as asked");
}

}  // namespace flowloom
