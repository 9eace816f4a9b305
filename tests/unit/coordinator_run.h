// A real run directory for tests of what stands on it: a run file, checkpoints, a coordinator behind its services.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "chain_cases.h"
#include "coordinator/brain.h"
#include "coordinator/opening.h"
#include "coordinator/services.h"
#include "coordinator_world.h"
#include "flow/checkpoint.h"
#include "flowloom/v1/chain.grpc.pb.h"
#include "flowloom/v1/coordinator.grpc.pb.h"
#include "flowloom/v1/models.grpc.pb.h"
#include "program/rpc.h"
#include "spec/files.h"

namespace flowloom {

// A checkpoint that fits `run`; other weights for another seed.
inline std::string checkpoint_bytes(const RunSpec& run, const std::string& seed = "a", std::int64_t step = 0) {
  Checkpoint checkpoint;
  checkpoint.theory = run.theory;
  checkpoint.flow = run.flow;
  checkpoint.precision = run.numerics.precision;
  checkpoint.training_step = step;
  checkpoint.weights = architecture_of(run)->initial_weights(NoiseKey::from(seed));
  add_references(checkpoint, *open_engine("lanes"));
  return checkpoint.bytes();
}

inline std::string digest(const std::string& bytes) {
  const Sha256 hash = sha256(bytes);
  return std::string(hash.begin(), hash.end());
}

template <class Work>
Error error_of_opening(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "nothing was thrown");
}

// A coordinator as its program makes it, on a free port of 127.0.0.1.
class Served {
 public:
  explicit Served(const RunText& text, bool stay = true, std::optional<ServerTls> with = {})
      : run(text.run()), tls(std::move(with)) {
    write_file_atomically(run_file, text.text());
    start(stay);
  }
  ~Served() { stop(); }

  void start(bool stay = true, Rollback rollback = Rollback::kHalt) {
    spdlog::set_level(spdlog::level::off);
    brain = std::make_unique<Brain>(open_run(directory, run_file, {}), directory, stay, rollback);
    services = std::make_unique<Services>(*brain, "127.0.0.1:0", directory.token(), tls);
    channel = open_channel(services->address(), false, trusting());
    token = directory.token();
  }
  void stop() {
    services.reset();
    brain.reset();
  }

  // What a caller needs to know of its TLS.
  std::optional<ClientTls> trusting() const {
    if (!tls) return {};
    return ClientTls{tls->authority, "", ""};
  }

  struct Call {
    explicit Call(const Served& served, std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
      prepare(context, served.token, deadline);
    }
    grpc::ClientContext context;
  };

  auto models() const { return v1::Models::NewStub(channel); }
  auto chain() const { return v1::Chain::NewStub(channel); }
  auto work() const { return v1::Coordinator::NewStub(channel); }

  v1::StatusReply status() const {
    Call call(*this);
    v1::StatusReply reply;
    EXPECT_TRUE(chain()->Status(&call.context, {}, &reply).ok());
    return reply;
  }

  v1::PublishHeader header_of(const std::string& bytes, const std::vector<std::uint32_t>& entries = {0}) const {
    v1::PublishHeader header;
    header.set_sha256(digest(bytes));
    header.set_size(bytes.size());
    header.set_ess(0.5);
    header.set_origin("test");
    for (const std::uint32_t entry : entries) {
      header.add_scheduled(entry);
      header.add_conditions(entry < run.chain.versions.size() ? run.chain.versions[entry].when.sentence() : "step 1");
    }
    return header;
  }

  grpc::Status publish(const v1::PublishHeader& header, const std::string& bytes, v1::PublishReply* reply) const {
    Call call(*this);
    const auto writer = models()->Publish(&call.context, reply);
    v1::PublishRequest request;
    *request.mutable_header() = header;
    bool open = writer->Write(request);
    for (std::size_t sent = 0; open && sent < bytes.size(); sent += 1000) {
      request.set_chunk(bytes.substr(sent, 1000));
      open = writer->Write(request);
    }
    writer->WritesDone();
    return writer->Finish();
  }
  v1::PublishReply publish(const std::string& bytes, const std::vector<std::uint32_t>& entries = {0}) const {
    v1::PublishReply reply;
    const grpc::Status done = publish(header_of(bytes, entries), bytes, &reply);
    EXPECT_TRUE(done.ok()) << done.error_message();
    return reply;
  }

  // Until the chain has `proposals`, or 20 seconds have gone.
  bool reaches(std::uint64_t proposals) const {
    for (int i = 0; i < 1000; ++i) {
      if (status().proposals() >= proposals) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  TemporaryDirectory temporary;
  RunDirectory directory{temporary.path() / "run"};
  std::filesystem::path run_file = temporary.path() / "test.toml";
  RunSpec run;
  std::optional<ServerTls> tls;
  std::unique_ptr<Brain> brain;
  std::unique_ptr<Services> services;
  std::shared_ptr<grpc::Channel> channel;
  std::string token;

 private:
  struct v1 {  // names of the protocol, short
    using Models = flowloom::v1::Models;
    using Chain = flowloom::v1::Chain;
    using Coordinator = flowloom::v1::Coordinator;
    using StatusReply = flowloom::v1::StatusReply;
    using PublishHeader = flowloom::v1::PublishHeader;
    using PublishReply = flowloom::v1::PublishReply;
    using PublishRequest = flowloom::v1::PublishRequest;
  };
};

// A worker's end of the protocol, driven by hand or left to work on its own thread. Versions are told apart by number.
class HandWorker {
 public:
  using Stream = grpc::ClientReaderWriter<flowloom::v1::WorkerMessage, flowloom::v1::CoordinatorMessage>;

  explicit HandWorker(const Served& served) : stub_(served.work()) {
    prepare(context_, served.token, std::chrono::seconds(30));
    stream_ = stub_->Work(&context_);
  }
  HandWorker(const Served& served, std::uint32_t credits) : HandWorker(served) { say_hello(hello(credits)); }
  ~HandWorker() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
    finish();
  }

  bool say(const flowloom::v1::WorkerMessage& message) { return stream_->Write(message); }
  bool say_hello(const flowloom::v1::Hello& message) {
    flowloom::v1::WorkerMessage first;
    *first.mutable_hello() = message;
    return say(first);
  }
  std::optional<flowloom::v1::CoordinatorMessage> read() {
    flowloom::v1::CoordinatorMessage message;
    if (!stream_->Read(&message)) return {};
    return message;
  }
  // The next message of this kind; others are answered as a worker would, samples are kept back.
  std::optional<flowloom::v1::CoordinatorMessage> read_until(flowloom::v1::CoordinatorMessage::MessageCase kind) {
    while (auto message = read()) {
      if (message->message_case() == kind) return message;
      if (!message->has_sample()) answer(*message);
    }
    return {};
  }

  void answer(const flowloom::v1::CoordinatorMessage& message) {
    const auto model = [](std::uint32_t version) {
      return ModelRow{version, {}, 0, 0, 0, "version " + std::to_string(version), true};
    };
    if (message.has_prepare()) say(ready(message.prepare().version().version()));
    if (message.has_sample()) {
      const auto& grant = message.sample();
      say(numbers.sample(grant.first_unit(), grant.unit_size(), model(grant.version())));
    }
    if (message.has_reweigh()) say(numbers.reweigh(message.reweigh(), model(message.reweigh().version())));
  }

  // Answers everything until Goodbye or the stream's end.
  void work() {
    while (auto message = read()) {
      if (message->has_goodbye()) break;
      answer(*message);
    }
  }
  void work_in_background() {
    thread_ = std::thread([this] {
      work();
      stream_->WritesDone();
    });
  }
  grpc::Status finish() {
    if (!finished_) status_ = stream_->Finish();
    finished_ = true;
    return status_;
  }
  void cancel() { context_.TryCancel(); }

  Numbers numbers;

 private:
  std::unique_ptr<flowloom::v1::Coordinator::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  std::thread thread_;
  bool finished_ = false;
  grpc::Status status_;
};

}  // namespace flowloom
