// gRPC's side of the coordinator's streams: reactors that hand everything to the brain.
//
// Each keeps itself alive until gRPC is done with it (OnDone). All members are touched on the brain's thread only, except
// where a comment says otherwise.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>

#include "coordinator/brain.h"
#include "program/rpc.h"

namespace flowloom {

// One worker's connection.
class WorkReactor final : public grpc::ServerBidiReactor<flowloom::v1::WorkerMessage, flowloom::v1::CoordinatorMessage>,
                          public WorkerStream,
                          public std::enable_shared_from_this<WorkReactor> {
 public:
  static WorkReactor* start(Brain& brain, const grpc::Status& permission);

  void send(flowloom::v1::CoordinatorMessage message, bool last) override;
  void tick(Time now) override;

 private:
  explicit WorkReactor(Brain& brain) : brain_(brain) {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { self_.reset(); }

  void handle();
  void pump();
  void finish(const grpc::Status& status);

  Brain& brain_;
  std::shared_ptr<WorkReactor> self_;
  flowloom::v1::WorkerMessage in_;
  std::deque<flowloom::v1::CoordinatorMessage> out_;
  WorkerId id_ = 0;  // 0: has not said Hello
  Time since_{};
  bool writing_ = false, closing_ = false, finished_ = false;
};

// A server-side stream fed by `pull`, which is asked on the brain's thread whenever the last reply is out or something
// may be new.
template <class Reply>
class Subscription final : public grpc::ServerWriteReactor<Reply>,
                           public Subscriber,
                           public std::enable_shared_from_this<Subscription<Reply>> {
 public:
  enum class Step { kReply, kWait, kEnd };
  using Pull = std::function<Step(Reply&)>;  // may throw Error: the stream ends with its status

  static Subscription* start(Brain& brain, const grpc::Status& permission, Pull pull) {
    auto reactor = std::shared_ptr<Subscription>(new Subscription(brain, std::move(pull)));
    reactor->self_ = reactor;
    if (!permission.ok()) {
      reactor->finished_ = true;
      reactor->Finish(permission);
    } else {
      brain.post([reactor] {
        reactor->brain_.subscribe(reactor);
        reactor->poke();
      });
    }
    return reactor.get();
  }

  void poke() override {
    if (writing_ || finished_) return;
    Step step = Step::kEnd;
    reply_.Clear();
    const grpc::Status status = guarded([&] { step = pull_(reply_); });
    if (!status.ok() || step == Step::kEnd) return finish(status);
    if (step == Step::kWait) return;
    writing_ = true;
    this->StartWrite(&reply_);
  }

 private:
  Subscription(Brain& brain, Pull pull) : brain_(brain), pull_(std::move(pull)) {}

  void OnWriteDone(bool ok) override {
    brain_.post([self = self_, ok] {
      self->writing_ = false;
      if (!ok) return self->finish(grpc::Status::CANCELLED);
      self->poke();
    });
  }
  void OnCancel() override {
    brain_.post([self = self_] { self->finish(grpc::Status::CANCELLED); });
  }
  void OnDone() override { self_.reset(); }

  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    this->Finish(status);
  }

  Brain& brain_;
  Pull pull_;
  std::shared_ptr<Subscription> self_;
  Reply reply_;
  bool writing_ = false, finished_ = false;
};

// Receives a checkpoint and registers it.
class PublishReactor final : public grpc::ServerReadReactor<flowloom::v1::PublishRequest>,
                             public std::enable_shared_from_this<PublishReactor> {
 public:
  static PublishReactor* start(Brain& brain, const grpc::Status& permission, flowloom::v1::PublishReply* reply,
                               std::function<void(const flowloom::v1::Target&)> check_target);

 private:
  PublishReactor(Brain& brain, flowloom::v1::PublishReply* reply,
                 std::function<void(const flowloom::v1::Target&)> check_target)
      : brain_(brain), reply_(reply), check_target_(std::move(check_target)) {}

  void OnReadDone(bool ok) override;  // on gRPC's thread: collects chunks
  void OnDone() override { self_.reset(); }

  void take_part();
  void complete();

  Brain& brain_;
  flowloom::v1::PublishReply* reply_;
  std::function<void(const flowloom::v1::Target&)> check_target_;
  std::shared_ptr<PublishReactor> self_;
  flowloom::v1::PublishRequest in_;
  std::optional<flowloom::v1::PublishHeader> header_;
  std::string bytes_;
};

}  // namespace flowloom
