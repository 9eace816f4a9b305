// A worker that samples nothing: it answers every unit with the same numbers, at once.
//
// It takes no thread of its own: thousands of them fit into one process. Each has a connection of its own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "flowloom/v1/coordinator.grpc.pb.h"
#include "program/rpc.h"
#include "spec/noise.h"
#include "spec/packing.h"
#include "spec/run_spec.h"

namespace flowloom {

namespace v1 = flowloom::v1;

// What a worker says first.
inline v1::WorkerMessage hello_of(std::uint32_t credits, const std::string& capability) {
  v1::WorkerMessage message;
  auto* hello = message.mutable_hello();
  hello->set_protocol(kProtocol);
  hello->add_capabilities(capability);
  hello->set_credits(credits);
  auto* numerics = hello->add_engines();
  numerics->set_engine("lanes");
  numerics->set_precision("mixed");
  numerics->set_revision(kNumericsRevision);
  return message;
}

// A channel that shares its connection with no other.
inline std::shared_ptr<grpc::Channel> own_connection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageBytes));
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// The numbers of a unit with four sums; weights of an ESS of about 0.8, as a trained flow has.
inline v1::WorkerMessage canned_answer(const RunSpec& run) {
  const std::size_t unit = run.unit;
  std::vector<double> log_p(unit), log_q(unit), sums(4 * unit);
  fill_normal(run.noise_key(), Purpose::kBase, 0, log_p);
  fill_normal(run.noise_key(), Purpose::kBase, 1, sums);
  for (double& value : log_p) value *= 0.5;
  v1::WorkerMessage answer;
  answer.mutable_sample()->set_log_p(pack(log_p));
  answer.mutable_sample()->set_log_q(pack(log_q));
  answer.mutable_sample()->set_sums(pack(sums));
  return answer;
}

class CannedWorker final : private grpc::ClientBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  // `answer` lives longer.
  CannedWorker(const std::string& address, const std::string& token, std::uint32_t credits,
               const v1::WorkerMessage& answer)
      : stub_(v1::Coordinator::NewStub(own_connection(address))), answer_(answer) {
    prepare(context_, token, std::chrono::milliseconds(0));
    stub_->async()->Work(&context_, this);
    out_.push_back(hello_of(credits, "sample"));
    StartWrite(&out_.front());
    StartRead(&in_);
    StartCall();
  }
  ~CannedWorker() {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    done_condition_.wait(lock, [&] { return done_; });
  }

  std::uint64_t answered() const { return answered_; }  // units
  bool lost() const { return lost_; }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (in_.has_prepare()) {
      v1::WorkerMessage ready;
      ready.mutable_ready()->set_version(in_.prepare().version().version());
      say(std::move(ready));
    } else if (in_.has_sample()) {
      for (std::uint32_t i = 0; i < in_.sample().units(); ++i) {
        v1::WorkerMessage answer;
        answer.mutable_sample()->set_unit(in_.sample().first_unit() + i);
        answer.mutable_sample()->set_version(in_.sample().version());
        say(std::move(answer));
      }
    }
    StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (out_.front().has_sample()) ++answered_;
    out_.pop_front();
    if (ok && !out_.empty()) write();
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = lost_ = true;
    done_condition_.notify_all();
  }

  void say(v1::WorkerMessage message) {
    const std::lock_guard lock(mutex_);
    out_.push_back(std::move(message));
    if (out_.size() == 1) write();
  }
  // What waits holds no numbers: they come in when it is its turn.
  void write() {
    v1::WorkerMessage& message = out_.front();
    if (message.has_sample()) {
      message.mutable_sample()->set_log_p(answer_.sample().log_p());
      message.mutable_sample()->set_log_q(answer_.sample().log_q());
      message.mutable_sample()->set_sums(answer_.sample().sums());
    }
    StartWrite(&message);
  }

  std::unique_ptr<v1::Coordinator::Stub> stub_;
  const v1::WorkerMessage& answer_;
  grpc::ClientContext context_;
  v1::CoordinatorMessage in_;
  std::mutex mutex_;
  std::condition_variable done_condition_;
  std::deque<v1::WorkerMessage> out_;  // the first is being written
  std::atomic<std::uint64_t> answered_ = 0;
  bool done_ = false;
  std::atomic<bool> lost_ = false;
};

}  // namespace flowloom
