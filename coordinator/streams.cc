#include "coordinator/streams.h"

#include <spdlog/spdlog.h>

#include "spec/error.h"

namespace flowloom {

WorkReactor* WorkReactor::start(Brain& brain, const grpc::Status& permission) {
  const auto reactor = std::shared_ptr<WorkReactor>(new WorkReactor(brain));
  reactor->Conversation::start(reactor, permission);
  return reactor.get();
}

void WorkReactor::began() {
  since_ = brain_.now();
  brain_.watch_hello(self());
}

void WorkReactor::handle(const flowloom::v1::WorkerMessage& message) {
  if (id_ != kNobody) {
    brain_.worker_said(id_, message);
  } else if (message.has_hello()) {
    id_ = brain_.worker_joined(self(), message.hello());
  } else {
    finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "The first message of a worker is Hello."));
  }
}

void WorkReactor::ended() {
  if (id_ != kNobody) brain_.worker_left(id_);
}

void WorkReactor::tick(Time now) {
  if (id_ == kNobody && now - since_ > limits::kHello) {
    finish(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "No Hello came."));
  }
}

ShareReactor* ShareReactor::start(Brain& brain, const grpc::Status& permission,
                                  std::function<void(const flowloom::v1::Target&)> check_target) {
  const auto reactor = std::shared_ptr<ShareReactor>(new ShareReactor(brain));
  reactor->check_target_ = std::move(check_target);
  reactor->Conversation::start(reactor, permission);
  return reactor.get();
}

void ShareReactor::handle(const flowloom::v1::ShareRequest& request) {
  const grpc::Status status = guarded([&] {
    if (request.has_step()) check_target_(request.step().run());
    brain_.trainer_said(self(), request);
  });
  if (!status.ok()) finish(status);
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
  if (!ok) return complete();
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
  brain_.on_store(
      [this](Store& store) {
        check();
        return register_model(store, brain_.directory(), brain_.run(), bytes_, header_->ess(), header_->origin(),
                              entries());
      },
      [self = self_](std::future<ModelRow> result) { self->Finish(guarded([&] { self->registered(result.get()); })); });
}

std::vector<std::uint32_t> PublishReactor::entries() const {
  return {header_->scheduled().begin(), header_->scheduled().end()};
}

void PublishReactor::check() const {
  if (!header_) throw Error(ErrorCode::kInvalidInput, "Publish begins with its header.");
  check_target_(header_->run());
  const Sha256 digest = sha256(bytes_);
  if (bytes_.size() != header_->size() || header_->sha256() != bytes_of(digest)) {
    throw Error(ErrorCode::kCorrupt, "The checkpoint did not arrive whole (" + std::to_string(bytes_.size()) + " of " +
                                         std::to_string(header_->size()) +
                                         " bytes, or another SHA-256); send it again.");
  }
  const auto& schedule = brain_.run().chain.versions;
  if (header_->conditions_size() != header_->scheduled_size()) {
    throw Error(ErrorCode::kInvalidInput, "Publish names one condition for each entry.");
  }
  for (int i = 0; i < header_->scheduled_size(); ++i) {
    const std::uint32_t entry = header_->scheduled(i);
    if (entry < schedule.size() && schedule[entry].when.sentence() == header_->conditions(i)) continue;
    throw Error(ErrorCode::kConflict, "The checkpoint is for entry " + std::to_string(entry) +
                                          " of [chain] versions, '" + header_->conditions(i) +
                                          "', which the run file does not have any more; start "
                                          "the trainer again.");
  }
}

void PublishReactor::registered(const ModelRow& row) {
  spdlog::info("version {} published: step {}, ESS {:.3f}, {}", row.version, row.training_step, row.ess, row.origin);
  brain_.core().published(row, entries());
  const auto models = brain_.core().models();
  *reply_->mutable_version() = models.versions(static_cast<int>(row.version) - 1);
  brain_.schedule_turn();
}

}  // namespace flowloom
