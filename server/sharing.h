// Shares a step's gradient units with the workers of the coordinator (proto/flowloom/v1/training.proto), on threads of
// its own: training never waits for the network. While there is no connection, or no worker, nothing is shared.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "flowloom/v1/training.grpc.pb.h"
#include "program/peer.h"
#include "program/retry.h"
#include "server/gradient_help.h"
#include "spec/sha256.h"

namespace flowloom {

// One trainer calls; any thread.
class Sharing final : public GradientHelp {
 public:
  // `training`: of the settings (spec/run_spec.h).
  Sharing(PeerFinder finder, std::string run_id, const Sha256& training);

  void offer(const Step& step, Arrived arrived) override;
  void taken(std::size_t units) override;
  void withdraw() override;

 private:
  using Stream = grpc::ClientReaderWriter<flowloom::v1::ShareRequest, flowloom::v1::ShareReply>;

  void connect(std::stop_token stop);
  grpc::Status converse(const Peer& peer, Retry& retry, std::stop_token stop);
  void write(Stream& stream, std::stop_token stop);
  void arrive(const flowloom::v1::GradientAnswer& answer);
  void workers_are(std::uint32_t count);
  flowloom::v1::ShareRequest next_request();  // of what is unsent

  PeerFinder finder_;
  std::string run_id_, training_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint32_t workers_ = 0;  // that could help, as the coordinator says; 0 without a connection
  std::optional<Step> step_;   // that is being done; its weights are the trainer's until it is withdrawn
  std::size_t taken_ = 0;      // of its units
  bool step_unsent_ = false, taken_unsent_ = false;
  bool told_ = false;  // that steps are too large
  Arrived arrived_;
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace flowloom
