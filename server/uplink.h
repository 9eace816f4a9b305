// The trainer's side of the registry (proto/flowloom/v1/models.proto), on a thread of its own: training never
// waits for the network.
//
// Keeps true: checkpoints arrive in the order of `publish`, each tried until the coordinator has it
// (publishing the same bytes twice is one version), and so do points of the record; of reports the latest is kept until
// the coordinator has it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "flowloom/v1/models.grpc.pb.h"
#include "program/last_seen.h"
#include "program/peer.h"

namespace flowloom {

// What the coordinator says about its run; tried again for `wait`, then throws `kUnavailable`. Nothing if
// `stop` was requested first.
std::optional<flowloom::v1::DescribeReply> describe(PeerFinder& finder, std::chrono::milliseconds wait,
                                                    std::stop_token stop);

// Any thread may call anything.
class Uplink {
 public:
  Uplink(PeerFinder finder, std::string run_id);

  // Ends what is on the way; what was not delivered is forgotten here.
  ~Uplink() = default;

  // `header` without run, size and SHA-256.
  void publish(flowloom::v1::PublishHeader header, std::string bytes);
  void report(flowloom::v1::TrainingReport report);

  // A point of the training's record: goes with the next report, and is kept until the coordinator has it.
  void record(flowloom::v1::TrainingPoint point);
  std::vector<flowloom::v1::TrainingPoint> undelivered() const;

  // True once the coordinator has said so: training may end.
  bool chain_complete() const;

  // Throws what the coordinator refused for good: trying again would not help.
  void check() const;

  // Waits until all is delivered or refused, `stop` requested or `limit` over. True if nothing is left.
  bool drain(std::stop_token stop, std::optional<std::chrono::milliseconds> limit = {});

 private:
  struct Parcel {
    flowloom::v1::PublishHeader header;
    std::string bytes;
  };

  void deliver(std::stop_token stop);
  void send(const Peer& peer, const Parcel& parcel, std::stop_token stop) const;
  // Returns when to come back, if the coordinator said that it goes down.
  std::chrono::milliseconds send(const Peer& peer, flowloom::v1::TrainingReport report, std::stop_token stop);
  bool idle() const { return parcels_.empty() && !report_ && points_.empty() && !busy_; }

  PeerFinder finder_;
  std::string run_id_;
  LastSeen last_seen_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Parcel> parcels_;
  std::optional<flowloom::v1::TrainingReport> report_;
  std::deque<flowloom::v1::TrainingPoint> points_;
  bool busy_ = false;
  bool chain_complete_ = false;
  std::exception_ptr refusal_;
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace flowloom
