// Follows a run's status in the background, through restarts of its coordinator.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

#include "flowloom/v1/chain.pb.h"
#include "program/run_directory.h"

namespace flowloom {

class StatusWatch {
 public:
  // Asks whichever coordinator `directory` announces, every `interval` seconds.
  StatusWatch(RunDirectory directory, double interval);

  struct Seen {
    v1::StatusReply status;
    std::uint64_t number = 0;  // 1, 2, 3, …: counts statuses
  };
  // The last status that came, from any thread; nothing before the first.
  std::optional<Seen> latest() const;

 private:
  void follow(std::stop_token stop);

  RunDirectory directory_;
  double interval_;
  mutable std::mutex mutex_;
  std::optional<Seen> seen_;  // under mutex_
  std::jthread thread_;
};

}  // namespace flowloom
