#include "coordinator/streams.h"

#include <spdlog/spdlog.h>

#include "spec/error.h"

namespace flowloom {
namespace {

constexpr Time kHelloDeadline{10000};

}  // namespace

WorkReactor* WorkReactor::start(Brain& brain, const grpc::Status& permission) {
  auto reactor = std::shared_ptr<WorkReactor>(new WorkReactor(brain));
  reactor->self_ = reactor;
  if (!permission.ok()) {
    reactor->finished_ = true;
    reactor->Finish(permission);
    return reactor.get();
  }
  brain.post([reactor] {
    reactor->since_ = reactor->brain_.now();
    reactor->brain_.watch_hello(reactor);
    if (!reactor->finished_) reactor->StartRead(&reactor->in_);
  });
  return reactor.get();
}

void WorkReactor::OnReadDone(bool ok) {
  brain_.post([self = self_, ok] {
    if (self->finished_) return;
    if (!ok) return self->finish(grpc::Status::OK);
    self->handle();
    // The next message is read only after this one was taken in: a flood stays in its own stream.
    if (!self->finished_) self->StartRead(&self->in_);
  });
}

void WorkReactor::handle() {
  if (id_ != 0) {
    brain_.worker_said(id_, in_);
  } else if (in_.has_hello()) {
    brain_.worker_joined(self_, in_.hello(), id_);
  } else {
    finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "The first message of a worker is Hello."));
  }
}

void WorkReactor::send(flowloom::v1::CoordinatorMessage message, bool last) {
  if (finished_) return;
  if (out_.size() >= limits::kQueuedMessages) {
    return finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "This worker does not read its messages."));
  }
  closing_ = closing_ || last;
  out_.push_back(std::move(message));
  pump();
}

void WorkReactor::tick(Time now) {
  if (id_ == 0 && now - since_ > kHelloDeadline) {
    finish(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "No Hello came."));
  }
}

void WorkReactor::pump() {
  if (writing_ || finished_) return;
  if (!out_.empty()) {
    writing_ = true;
    StartWrite(&out_.front());
  } else if (closing_) {
    finish(grpc::Status::OK);
  }
}

void WorkReactor::OnWriteDone(bool ok) {
  brain_.post([self = self_, ok] {
    self->writing_ = false;
    self->out_.pop_front();
    if (!ok) return self->finish(grpc::Status::CANCELLED);
    self->pump();
  });
}

void WorkReactor::OnCancel() {
  brain_.post([self = self_] { self->finish(grpc::Status::CANCELLED); });
}

void WorkReactor::finish(const grpc::Status& status) {
  if (std::exchange(finished_, true)) return;
  const auto alive = self_;  // leaving the brain's map may drop the last other reference
  if (id_ != 0) brain_.worker_left(id_);
  Finish(status);
}

PublishReactor* PublishReactor::start(Brain& brain, const grpc::Status& permission, flowloom::v1::PublishReply* reply,
                                      std::function<void(const flowloom::v1::Target&)> check_target) {
  auto reactor = std::shared_ptr<PublishReactor>(new PublishReactor(brain, reply, std::move(check_target)));
  reactor->self_ = reactor;
  if (permission.ok()) {
    reactor->StartRead(&reactor->in_);
  } else {
    reactor->Finish(permission);
  }
  return reactor.get();
}

void PublishReactor::OnReadDone(bool ok) {
  if (!ok) {
    brain_.post([self = self_] { self->complete(); });
    return;
  }
  const grpc::Status status = guarded([&] { take_part(); });
  if (status.ok()) {
    StartRead(&in_);
  } else {
    Finish(status);
  }
}

void PublishReactor::take_part() {
  if (in_.has_header()) {
    if (header_) throw Error(ErrorCode::kInvalidInput, "Publish has one header.");
    header_ = in_.header();
    if (header_->size() > limits::kModelBytes) {
      throw Error(ErrorCode::kInvalidInput,
                  "A checkpoint has at most " + std::to_string(limits::kModelBytes) + " bytes.");
    }
    return;
  }
  if (!header_) throw Error(ErrorCode::kInvalidInput, "Publish begins with its header.");
  if (bytes_.size() + in_.chunk().size() > header_->size()) {
    throw Error(ErrorCode::kCorrupt, "More bytes came than the header announced.");
  }
  bytes_ += in_.chunk();
}

void PublishReactor::complete() {
  Finish(guarded([&] {
    if (!header_) throw Error(ErrorCode::kInvalidInput, "Publish begins with its header.");
    check_target_(header_->run());
    const Sha256 digest = sha256(bytes_);
    if (bytes_.size() != header_->size() || header_->sha256() != std::string(digest.begin(), digest.end())) {
      throw Error(ErrorCode::kCorrupt, "The checkpoint did not arrive whole (" + std::to_string(bytes_.size()) +
                                           " of " + std::to_string(header_->size()) +
                                           " bytes, or another SHA-256); send it again.");
    }
    const std::vector<std::uint32_t> entries(header_->scheduled().begin(), header_->scheduled().end());
    const auto& schedule = brain_.run().chain.versions;
    if (header_->conditions_size() != header_->scheduled_size()) {
      throw Error(ErrorCode::kInvalidInput, "Publish names one condition for each entry.");
    }
    for (int i = 0; i < header_->scheduled_size(); ++i) {
      const std::uint32_t entry = entries[static_cast<std::size_t>(i)];
      if (entry < schedule.size() && schedule[entry].when.sentence() == header_->conditions(i)) continue;
      throw Error(ErrorCode::kConflict, "The checkpoint is for entry " + std::to_string(entry) +
                                            " of [chain] versions, '" + header_->conditions(i) +
                                            "', which the run file does not have any more; start "
                                            "the trainer again.");
    }
    const ModelRow row = register_model(brain_.store(), brain_.directory(), brain_.run(), bytes_, header_->ess(),
                                        header_->origin(), entries);
    spdlog::info("version {} published: step {}, ESS {:.3f}, {}", row.version, row.training_step, row.ess, row.origin);
    brain_.core().published(row, entries, brain_.now());
    const auto models = brain_.core().models();
    *reply_->mutable_version() = models.versions(static_cast<int>(row.version) - 1);
    brain_.settle();
  }));
}

}  // namespace flowloom
