// A worker that samples nothing: it answers every unit with the same numbers, at once.
//
// It takes no thread of its own: thousands of them fit into one process. Each has a connection of its own. The numbers
// are encoded once, for all of them: who sends is on another machine in earnest, and should take little of this one
// here.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <array>
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
inline grpc::Slice canned_answer(const RunSpec& run) {
  const std::size_t unit = run.unit;
  std::vector<double> log_p(unit), log_q(unit), sums(4 * unit);
  fill_normal(run.noise_key(), Purpose::kBase, 0, log_p);
  fill_normal(run.noise_key(), Purpose::kBase, 1, sums);
  for (double& value : log_p) value *= 0.5;
  v1::SampleAnswer answer;
  answer.set_log_p(pack(log_p));
  answer.set_log_q(pack(log_q));
  answer.set_sums(pack(sums));
  return answer.SerializeAsString();
}

inline grpc::ByteBuffer encoded(const v1::WorkerMessage& message) {
  const grpc::Slice bytes(message.SerializeAsString());
  return {&bytes, 1};
}

// The message that `numbers` answer this unit: Protobuf's fields may come in any order, and in pieces.
inline grpc::ByteBuffer encoded(std::uint64_t unit, std::uint32_t version, const grpc::Slice& numbers) {
  using google::protobuf::io::CodedOutputStream;
  v1::SampleAnswer answer;
  answer.set_unit(unit);
  answer.set_version(version);
  const std::string which = answer.SerializeAsString();
  constexpr std::uint32_t kLengthDelimited = 2;
  std::array<std::uint8_t, 16> head;
  std::uint8_t* end =
      CodedOutputStream::WriteTagToArray(v1::WorkerMessage::kSampleFieldNumber << 3 | kLengthDelimited, head.data());
  end = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(which.size() + numbers.size()), end);
  const std::array<grpc::Slice, 2> slices{grpc::Slice(std::string(head.data(), end) + which), numbers};
  return {slices.data(), slices.size()};
}

class CannedWorker final : private grpc::ClientBidiReactor<grpc::ByteBuffer, v1::CoordinatorMessage> {
 public:
  CannedWorker(const std::string& address, const std::string& token, std::uint32_t credits, grpc::Slice numbers)
      : stub_(own_connection(address)), numbers_(std::move(numbers)) {
    prepare(context_, token, std::chrono::milliseconds(0));
    stub_.PrepareBidiStreamingCall(&context_, "/flowloom.v1.Coordinator/Work", {}, this);
    out_.push_back({encoded(hello_of(credits, "sample")), false});
    StartWrite(&out_.front().bytes);
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
      say({encoded(ready), false});
    } else if (in_.has_sample()) {
      for (std::uint32_t i = 0; i < in_.sample().units(); ++i) {
        say({encoded(in_.sample().first_unit() + i, in_.sample().version(), numbers_), true});
      }
    }
    StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (out_.front().answers) ++answered_;
    out_.pop_front();
    if (ok && !out_.empty()) StartWrite(&out_.front().bytes);
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = lost_ = true;
    done_condition_.notify_all();
  }

  struct Message {
    grpc::ByteBuffer bytes;
    bool answers;
  };
  void say(Message message) {
    const std::lock_guard lock(mutex_);
    out_.push_back(std::move(message));
    if (out_.size() == 1) StartWrite(&out_.front().bytes);
  }

  grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::CoordinatorMessage> stub_;
  const grpc::Slice numbers_;
  grpc::ClientContext context_;
  v1::CoordinatorMessage in_;
  std::mutex mutex_;
  std::condition_variable done_condition_;
  std::deque<Message> out_;  // the first is being written
  std::atomic<std::uint64_t> answered_ = 0;
  bool done_ = false;
  std::atomic<bool> lost_ = false;
};

}  // namespace flowloom
