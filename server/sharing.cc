#include "server/sharing.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "program/rpc.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

constexpr std::size_t kOverhead = 4096;  // of a message, besides its arrays

// Why a step is not shared, or nothing.
std::string too_large(const GradientHelp::Step& step) {
  const std::size_t slopes = step.weights.size() * sizeof(double);
  if (slopes + step.unit_size * sizeof(double) + kOverhead > limits::kMessageBytes) {
    return "the slopes by " + std::to_string(step.weights.size()) + " weights do not fit into a message of " +
           std::to_string(limits::kMessageBytes >> 20) + " MiB";
  }
  if (step.units * slopes > limits::kSharedBytes) {
    return "the slopes of " + std::to_string(step.units) + " units are more than " +
           std::to_string(limits::kSharedBytes >> 20) + " MiB; raise [train] gradient_unit";
  }
  return "";
}

bool will_not_pass(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNIMPLEMENTED || code == grpc::StatusCode::FAILED_PRECONDITION ||
         code == grpc::StatusCode::PERMISSION_DENIED || code == grpc::StatusCode::INVALID_ARGUMENT;
}

}  // namespace

Sharing::Sharing(PeerFinder finder, std::string run_id, const Sha256& training)
    : finder_(std::move(finder)), run_id_(std::move(run_id)), training_(training.begin(), training.end()) {
  spdlog::debug("steps are offered to the workers of {}", finder_.name());  // here, so that no thread makes the log
  thread_ = std::jthread([this](std::stop_token stop) { connect(stop); });
}

void Sharing::offer(const Step& step, Arrived arrived) {
  const std::lock_guard lock(mutex_);
  if (const std::string why = too_large(step); !why.empty()) {
    if (workers_ > 0 && !std::exchange(told_, true)) spdlog::warn("training steps are not shared: {}", why);
    return;
  }
  step_ = step;
  taken_ = step.taken;
  arrived_ = std::move(arrived);
  step_unsent_ = workers_ > 0;
  taken_unsent_ = false;
  changed_.notify_all();
}

void Sharing::taken(std::size_t units) {
  const std::lock_guard lock(mutex_);
  taken_ = std::max(taken_, units);  // threads come in any order
  taken_unsent_ = step_ && workers_ > 0;
  changed_.notify_all();
}

void Sharing::withdraw() {
  const std::lock_guard lock(mutex_);
  step_.reset();
  arrived_ = nullptr;
  step_unsent_ = taken_unsent_ = false;
}

// The first that comes is offered the step that is being done.
void Sharing::workers_are(std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  if (workers_ == 0 && count > 0 && step_) {
    step_unsent_ = true;
    changed_.notify_all();
  }
  if (count == 0) step_unsent_ = taken_unsent_ = false;
  workers_ = count;
}

flowloom::v1::ShareRequest Sharing::next_request() {
  flowloom::v1::ShareRequest request;
  if (std::exchange(step_unsent_, false)) {
    flowloom::v1::GradientStep& offered = *request.mutable_step();
    offered.mutable_run()->set_run_id(run_id_);
    offered.set_step(step_->number);
    offered.set_weights(pack(step_->weights));
    offered.set_units(static_cast<std::uint32_t>(step_->units));
    offered.set_unit_size(static_cast<std::uint32_t>(step_->unit_size));
    offered.set_training(training_);
    offered.set_revision(kGradientRevision);
    offered.set_taken(static_cast<std::uint32_t>(taken_));
  } else {
    request.mutable_taken()->set_step(step_->number);
    request.mutable_taken()->set_units(static_cast<std::uint32_t>(taken_));
  }
  taken_unsent_ = false;
  return request;
}

void Sharing::arrive(const flowloom::v1::GradientAnswer& answer) {
  Gradient gradient{unpack(answer.slopes()), unpack(answer.log_w())};
  const std::lock_guard lock(mutex_);
  if (!step_ || answer.step() != step_->number || gradient.sum.size() != step_->weights.size() ||
      gradient.log_w.size() != step_->unit_size) {
    return;
  }
  arrived_(answer.unit(), std::move(gradient));
}

void Sharing::connect(std::stop_token stop) {
  // That it is lost and back is the uplink's to say.
  Retry retry(finder_.name(), [](const std::string& line) { spdlog::debug("sharing of training steps: {}", line); });
  while (!stop.stop_requested()) {
    std::string why;
    std::chrono::milliseconds after{0};
    bool final = false;
    try {
      const Peer peer = finder_.find();
      const grpc::Status status = converse(peer, retry, stop);
      final = will_not_pass(status.error_code());
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
        why = "the coordinator is of a version that does not share them";
      } else if (status.ok()) {
        why = "the coordinator closed the stream";
      } else {
        throw to_error(status, peer);
      }
    } catch (const Error& error) {
      why = error.what();
      after = error.retry_after();
    } catch (const std::exception& error) {
      why = error.what();
    }
    workers_are(0);
    if (final && !stop.stop_requested()) {
      spdlog::warn("training steps are not shared any more, until this server is started again: {}", why);
      return;
    }
    if (stop.stop_requested() || !retry.failed(why, stop, after)) return;
  }
}

grpc::Status Sharing::converse(const Peer& peer, Retry& retry, std::stop_token stop) {
  grpc::ClientContext context;
  prepare(context, peer.token, std::chrono::milliseconds(0));
  const auto stub = flowloom::v1::Training::NewStub(peer.channel);
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  const auto stream = stub->Share(&context);
  std::jthread writer([&](std::stop_token own) { write(*stream, own); });
  struct CancelFirst {  // after an exception: ends a write under way before the thread is waited for
    grpc::ClientContext* context;
    ~CancelFirst() {
      if (context) context->TryCancel();
    }
  } cancel_first{&context};
  for (flowloom::v1::ShareReply reply; stream->Read(&reply);) {
    retry.succeeded();
    if (reply.has_gradient()) arrive(reply.gradient());
    workers_are(reply.workers());
  }
  cancel_first.context = nullptr;  // the stream has ended, and with it any write; a cancellation would hide its status
  writer.request_stop();
  writer.join();
  return stream->Finish();
}

void Sharing::write(Stream& stream, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return step_unsent_ || taken_unsent_; })) {
    const flowloom::v1::ShareRequest request = next_request();
    lock.unlock();
    if (!stream.Write(request)) return;
    lock.lock();
  }
}

}  // namespace flowloom
