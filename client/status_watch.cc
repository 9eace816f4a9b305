#include "client/status_watch.h"

#include "client/connection.h"
#include "program/retry.h"
#include "spec/error.h"

namespace flowloom {

StatusWatch::StatusWatch(RunDirectory directory, double interval)
    : directory_(std::move(directory)), interval_(interval), thread_([this](std::stop_token stop) { follow(stop); }) {}

std::optional<StatusWatch::Seen> StatusWatch::latest() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void StatusWatch::follow(std::stop_token stop) {
  // The programs' supervisor reports what is wrong; here one only tries again.
  Retry retry(
      "the coordinator", [](const std::string&) {}, std::chrono::milliseconds(50), std::chrono::milliseconds(500));
  const auto last_seen = std::make_shared<LastSeen>();
  while (!stop.stop_requested()) {
    std::string why = "it ended";
    try {
      const Connection connection(find_coordinator(directory_.path().string()), last_seen);
      connection.watch_status(interval_, stop, [&](const v1::StatusReply& status) {
        retry.succeeded();
        const std::lock_guard lock(mutex_);
        seen_ = Seen{status, seen_ ? seen_->number + 1 : 1};
        return true;
      });
    } catch (const Error& error) {
      why = error.what();
    }
    if (!retry.failed(why, stop)) return;
  }
}

}  // namespace flowloom
