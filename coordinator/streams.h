// gRPC's side of the coordinator's streams: reactors that hand everything to the brain.
//
// Each keeps itself alive until gRPC is done with it (OnDone). gRPC's threads call `start` and On…; all else is touched
// on the brain's thread only, except where a comment says otherwise.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "coordinator/brain.h"
#include "flowloom/v1/models.pb.h"
#include "program/rpc.h"

namespace flowloom {

// A bidirectional stream: messages come in one by one on the brain's thread, those that go out wait in a bounded queue.
template <class In, class Out>
class Conversation : public grpc::ServerBidiReactor<In, Out>,
                     public std::enable_shared_from_this<Conversation<In, Out>> {
 public:
  virtual ~Conversation() = default;

 protected:
  explicit Conversation(Brain& brain) : brain_(brain) {}

  // To be called once, with the reactor itself.
  void start(std::shared_ptr<Conversation> self, const grpc::Status& permission) {
    self_ = std::move(self);
    if (!permission.ok()) {
      finished_ = true;
      this->Finish(permission);
      return;
    }
    brain_.post([self = self_] {
      self->began();
      if (!self->finished_) self->StartRead(&self->in_);
    });
  }

  virtual void began() {}
  virtual void handle(const In& message) = 0;
  virtual void sent(const Out&) {}
  virtual void ended() = 0;  // once

  void push(Out message, bool last) {
    if (finished_) return;
    if (out_.size() >= limits::kQueuedMessages) {
      return finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "The peer does not read its messages."));
    }
    closing_ = closing_ || last;
    out_.push_back(std::move(message));
    pump();
  }

  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    const auto alive = self_;  // leaving the brain may drop the last other reference
    ended();
    this->Finish(status);
  }

  Brain& brain_;
  std::shared_ptr<Conversation> self_;
  bool finished_ = false;

 private:
  // A few messages wait for the brain while the next is read; no more: a flood stays in its own stream.
  static constexpr int kAhead = 4;

  void OnReadDone(bool ok) override {
    if (!ok) return brain_.post([self = self_] { self->finish(grpc::Status::OK); });
    brain_.post([self = self_, message = std::move(in_)] {
      if (!self->finished_) self->handle(message);
      if (self->waiting_.fetch_sub(1) == kAhead && !self->finished_) self->StartRead(&self->in_);
    });
    if (waiting_.fetch_add(1) + 1 < kAhead) this->StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    brain_.post([self = self_, ok] {
      self->writing_ = false;
      const Out written = std::move(self->out_.front());
      self->out_.pop_front();
      if (!ok) return self->finish(grpc::Status::CANCELLED);
      self->pump();
      if (!self->finished_) self->sent(written);
    });
  }
  void OnCancel() override {
    brain_.post([self = self_] { self->finish(grpc::Status::CANCELLED); });
  }
  void OnDone() override { self_.reset(); }

  void pump() {
    if (writing_ || finished_) return;
    if (!out_.empty()) {
      writing_ = true;
      // What more comes after it is waited for: one call of the kernel for all.
      this->StartWrite(&out_.front(), out_.size() > 1 ? grpc::WriteOptions().set_buffer_hint() : grpc::WriteOptions());
    } else if (closing_) {
      finish(grpc::Status::OK);
    }
  }

  In in_;                         // gRPC's while a read is under way
  std::atomic<int> waiting_ = 0;  // messages that were read, and not taken in
  std::deque<Out> out_;
  bool writing_ = false, closing_ = false;
};

// One worker's connection.
class WorkReactor final : public Conversation<flowloom::v1::WorkerMessage, flowloom::v1::CoordinatorMessage>,
                          public WorkerStream {
 public:
  static WorkReactor* start(Brain& brain, const grpc::Status& permission);

  void send(flowloom::v1::CoordinatorMessage message, bool last) override { push(std::move(message), last); }
  void tick(Time now) override;

 private:
  using Conversation::Conversation;

  void began() override;
  void handle(const flowloom::v1::WorkerMessage& message) override;
  void ended() override;
  std::shared_ptr<WorkReactor> self() const { return std::static_pointer_cast<WorkReactor>(self_); }

  WorkerId id_ = kNobody;  // has not said Hello
  Time since_{};
};

// The stream on which a trainer shares its steps.
class ShareReactor final : public Conversation<flowloom::v1::ShareRequest, flowloom::v1::ShareReply>,
                           public ShareStream {
 public:
  static ShareReactor* start(Brain& brain, const grpc::Status& permission,
                             std::function<void(const flowloom::v1::Target&)> check_target);

  void send(flowloom::v1::ShareReply reply) override { push(std::move(reply), false); }
  void end(const grpc::Status& status) override { finish(status); }

 private:
  using Conversation::Conversation;

  void began() override { brain_.trainer_shares(self()); }
  void handle(const flowloom::v1::ShareRequest& request) override;
  void sent(const flowloom::v1::ShareReply& reply) override {
    if (reply.has_gradient()) brain_.gradient_sent(self());
  }
  void ended() override { brain_.trainer_stopped_sharing(self()); }
  std::shared_ptr<ShareReactor> self() const { return std::static_pointer_cast<ShareReactor>(self_); }

  std::function<void(const flowloom::v1::Target&)> check_target_;
};

// How many streams of replies may be served at once. A seat is free again when its last copy is gone. Any thread.
class Seats {
 public:
  explicit Seats(std::size_t count) : free_(count) {}

  // Nothing if all are taken.
  std::shared_ptr<void> take() {
    std::size_t free = free_;
    while (free > 0) {
      if (free_.compare_exchange_weak(free, free - 1)) return {this, [this](void*) { ++free_; }};
    }
    return {};
  }

 private:
  std::atomic<std::size_t> free_;
};

// A server-side stream fed by `pull`, which is asked on the brain's thread whenever the last reply is out or something
// may be new. A reply that is not read within `patience` ends the stream with RESOURCE_EXHAUSTED; after as long again,
// in which that word was not read either, it is cut off. Nobody else waits for a reader.
template <class Reply>
class Subscription final : public grpc::ServerWriteReactor<Reply>,
                           public Subscriber,
                           public std::enable_shared_from_this<Subscription<Reply>> {
 public:
  enum class Step { kReply, kWait, kEnd };
  using Pull = std::function<Step(Reply&)>;  // may throw Error: the stream ends with its status

  static Subscription* start(Brain& brain, grpc::CallbackServerContext* context, const grpc::Status& permission,
                             Time patience, Pull pull) {
    auto reactor = std::shared_ptr<Subscription>(new Subscription(brain, context, patience, std::move(pull)));
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
    if (writing_) return lose_patience();
    if (finished_) return;
    Step step = Step::kEnd;
    reply_.Clear();
    const grpc::Status status = guarded([&] { step = pull_(reply_); });
    if (!status.ok() || step == Step::kEnd) return finish(status);
    if (step == Step::kWait) return;
    writing_ = true;
    since_ = brain_.now();
    this->StartWrite(&reply_);
  }

 private:
  Subscription(Brain& brain, grpc::CallbackServerContext* context, Time patience, Pull pull)
      : brain_(brain), context_(context), patience_(patience), pull_(std::move(pull)) {}

  // The last reply is still on its way; the brain's ticks come here.
  void lose_patience() {
    if (brain_.now() - since_ <= patience_ || cut_off_) return;
    if (finished_) {
      cut_off_ = true;
      const std::lock_guard lock(context_mutex_);
      if (context_) context_->TryCancel();
      return;
    }
    since_ = brain_.now();
    finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "Nothing was read for " + std::to_string(patience_.count() / 1000) +
                            " seconds, so the coordinator ended this stream; ask again from where it was."));
  }

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
  void OnDone() override {
    {
      const std::lock_guard lock(context_mutex_);
      context_ = nullptr;
    }
    self_.reset();
  }

  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    this->Finish(status);
  }

  Brain& brain_;
  std::recursive_mutex context_mutex_;    // recursive: gRPC may call OnDone within TryCancel
  grpc::CallbackServerContext* context_;  // gRPC's own, which it frees after OnDone
  const Time patience_;
  Pull pull_;
  std::shared_ptr<Subscription> self_;
  Reply reply_;
  Time since_{};  // of the write under way, or of the word that ends the stream
  bool writing_ = false, finished_ = false, cut_off_ = false;
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

  void OnReadDone(bool ok) override;
  void OnDone() override { self_.reset(); }

  void take_part();                            // on gRPC's thread: collects header and chunks
  void complete();                             // on gRPC's thread
  void check() const;                          // on the store's thread: what is hashed may be gigabytes
  std::vector<std::uint32_t> entries() const;  // any thread, once all is here
  void registered(const ModelRow& row);

  Brain& brain_;
  flowloom::v1::PublishReply* reply_;
  std::function<void(const flowloom::v1::Target&)> check_target_;
  std::shared_ptr<PublishReactor> self_;
  // Filled on gRPC's thread; once the last read is done only read, on the brain's thread and on the store's.
  flowloom::v1::PublishRequest in_;
  std::optional<flowloom::v1::PublishHeader> header_;
  std::string bytes_;
};

}  // namespace flowloom
