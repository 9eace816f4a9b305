// One connection of a worker to its coordinator: from Hello until either side leaves.
//
//   reader thread ──▶ queue (bounded) ──▶ the thread that called `run`: fetches, computes, answers
//   watcher thread: gives up on a coordinator that never says Welcome; says Credit{0} before a leave
//
// Keeps true:
//   - messages are worked on in the order of the stream, so at Goodbye everything granted before is answered;
//   - a stop lets the unit in hand be finished and answered, and drops the grants behind it, whose leases
//     the end of the stream returns;
//   - a grant is never reported as failed because the connection was.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "flowloom/v1/coordinator.grpc.pb.h"
#include "program/last_seen.h"
#include "program/peer.h"
#include "program/rpc.h"
#include "worker/engines.h"
#include "worker/executor.h"
#include "worker/message_queue.h"
#include "worker/model_fetcher.h"
#include "worker/model_shelf.h"

namespace flowloom {

struct SessionOptions {
  std::string name;                // for people
  std::uint32_t credits = 2;       // units taken at once
  std::optional<Sha256> identity;  // of the run it insists on
  std::chrono::milliseconds welcome_deadline = limits::kUnaryDeadline;
  std::chrono::milliseconds leave_deadline = limits::kConnectDeadline;
};

// Why a session ended in order.
struct SessionEnd {
  enum class Kind {
    kStopped,  // this side was asked to
    kGoodbye,  // the coordinator's word; come back after `reconnect_after`, or never if it is zero
    kLost,     // no connection, or a refusal that may pass: try again, not before `reconnect_after`
    kAgain,    // the run needs another engine, which has been opened now: try again at once
  };
  Kind kind = Kind::kLost;
  std::string sentence;
  std::chrono::milliseconds reconnect_after{0};
};

class Session {
 public:
  // `joined` is called once, at Welcome. `shelf` and `last_seen` outlive the session; one session at a time uses them.
  // A process that was told of a run's log works for no other run.
  Session(const Peer& peer, Engines& engines, ModelShelf& shelf, LastSeen& last_seen, SessionOptions options,
          std::function<void()> joined);

  // To be called once. Throws `kConflict` for a refusal that will not pass, and what a call's status means
  // where trying again cannot help (a wrong token).
  SessionEnd run(std::stop_token stop);

 private:
  using Message = flowloom::v1::CoordinatorMessage;

  flowloom::v1::Hello hello() const;
  void read();
  void watch(std::stop_token stop);
  bool send(const flowloom::v1::WorkerMessage& message);
  grpc::Status leave();

  std::optional<SessionEnd> handle(const Message& message);
  void welcome(const flowloom::v1::Welcome& welcome);
  std::optional<SessionEnd> refused(const flowloom::v1::Refusal& refusal);
  void prepare_version(const flowloom::v1::ModelVersion& model);
  void sample(const flowloom::v1::SampleGrant& grant);
  void reweigh(const flowloom::v1::ReweighGrant& grant);
  void gradient(const flowloom::v1::GradientGrant& grant);
  std::shared_ptr<const Model> model_of(std::uint32_t version);
  std::shared_ptr<const Model> fetch_model(std::uint32_t version);
  void progress(std::uint32_t version, flowloom::v1::Loading::Step step);

  // The stream is gone, or this side was told to stop: nothing new is begun.
  bool over() const { return over_.stop_requested(); }

  Peer peer_;
  Engines& engines_;
  ModelShelf& shelf_;
  LastSeen& last_seen_;
  SessionOptions options_;
  std::function<void()> joined_;

  grpc::ClientContext context_;
  std::unique_ptr<flowloom::v1::Coordinator::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<flowloom::v1::WorkerMessage, Message>> stream_;
  std::mutex write_mutex_;  // the stream's write side
  MessageQueue<Message> inbox_;
  std::stop_source over_;
  std::atomic<std::uint64_t> newest_offer_ = 0;  // the last training step whose weights have come in

  std::mutex mutex_;  // the three below
  std::condition_variable_any changed_;
  bool first_message_ = false, stream_ended_ = false, silent_ = false;

  // After Welcome, on the thread that called `run`.
  bool wants_progress_ = false;  // the coordinator, of Loading
  std::optional<RunSpec> run_;
  std::shared_ptr<const Engine> engine_;
  std::optional<Executor> executor_;
  std::optional<ModelFetcher> fetcher_;
  std::map<std::uint32_t, flowloom::v1::ModelVersion> versions_;  // that the coordinator told about
};

}  // namespace flowloom
