// A small run of the lane engine, checkpoints for it, and a coordinator whose words a test writes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "flowloom/v1/coordinator.grpc.pb.h"
#include "flowloom/v1/models.grpc.pb.h"
#include "program/peer.h"
#include "program/rpc.h"
#include "spec/error.h"
#include "support.h"
#include "worker/engines.h"

namespace flowloom {

inline RunSpec small_run(const std::string& more = "") {
  return load_run_text("[run]\nname = \"small\"\nunit = 16\nengine = \"lanes\"\n" + more +
                           "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -0.5\nlambda = 0.5\n"
                           "[flow]\nkind = \"affine-coupling\"\nlayers = 2\nhidden = [2]\n[chain]\nlength = 160\n",
                       "small.toml");
}

inline Engines only_lanes() { return Engines({open_engine("lanes")}, "LibTorch is not here."); }

inline Checkpoint small_checkpoint(const std::string& seed, const RunSpec& run = small_run()) {
  Checkpoint checkpoint{run.theory, run.flow, run.numerics.precision, 10, {}, {}};
  checkpoint.weights = checkpoint.architecture()->initial_weights(NoiseKey::from(seed));
  for (double& weight : checkpoint.weights) weight = static_cast<double>(static_cast<float>(weight));
  add_references(checkpoint, lane_engine());
  return checkpoint;
}

inline std::shared_ptr<const Model> model_of(const Checkpoint& checkpoint, const RunSpec& run) {
  return make_model(checkpoint, theory_of(run), lane_engine());
}

inline std::vector<double> unpacked(const std::string& bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// Serves `script` for each worker's stream and `checkpoints` by version.
class FakeCoordinator {
 public:
  using Stream = grpc::ServerReaderWriter<flowloom::v1::CoordinatorMessage, flowloom::v1::WorkerMessage>;
  using Script = std::function<grpc::Status(Stream&, const flowloom::v1::Hello&)>;

  explicit FakeCoordinator(Script script) : work_(std::move(script)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&work_);
    builder.RegisterService(&models_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeCoordinator() { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }
  Peer peer() const { return {address_, "token", open_channel(address_, false)}; }
  int streams() const { return work_.streams; }
  int fetches() const { return models_.fetches; }

  void add(std::uint32_t version, const std::string& bytes) { models_.checkpoints[version] = bytes; }
  void damage_transfers(int count) { models_.damaged = count; }

  flowloom::v1::ModelVersion version(std::uint32_t number) const { return models_.describe(number); }

  // What a coordinator says first.
  static flowloom::v1::CoordinatorMessage welcome(const RunSpec& run) {
    flowloom::v1::CoordinatorMessage message;
    const Sha256 identity = run.identity();
    message.mutable_welcome()->set_run_id("run");
    message.mutable_welcome()->set_epoch(3);
    message.mutable_welcome()->set_run_file(run.toml);
    message.mutable_welcome()->set_identity(identity.data(), identity.size());
    message.mutable_welcome()->set_worker(1);
    return message;
  }
  static flowloom::v1::CoordinatorMessage goodbye(double reconnect_after_seconds) {
    flowloom::v1::CoordinatorMessage message;
    message.mutable_goodbye()->set_sentence("That is all.");
    message.mutable_goodbye()->set_reconnect_after_seconds(reconnect_after_seconds);
    return message;
  }
  static flowloom::v1::CoordinatorMessage refusal(flowloom::v1::Refusal::Code code, const std::string& sentence) {
    flowloom::v1::CoordinatorMessage message;
    message.mutable_refusal()->set_code(code);
    message.mutable_refusal()->set_sentence(sentence);
    return message;
  }
  static flowloom::v1::CoordinatorMessage grant(std::uint64_t unit, std::uint32_t units, std::uint32_t version) {
    flowloom::v1::CoordinatorMessage message;
    message.mutable_sample()->set_first_unit(unit);
    message.mutable_sample()->set_units(units);
    message.mutable_sample()->set_unit_size(16);
    message.mutable_sample()->set_version(version);
    return message;
  }
  flowloom::v1::CoordinatorMessage prepare_message(std::uint32_t number) const {
    flowloom::v1::CoordinatorMessage message;
    *message.mutable_prepare()->mutable_version() = version(number);
    return message;
  }

 private:
  struct Workers final : flowloom::v1::Coordinator::Service {
    explicit Workers(Script s) : script(std::move(s)) {}
    grpc::Status Work(grpc::ServerContext*, Stream* stream) override {
      ++streams;
      flowloom::v1::WorkerMessage first;
      if (!stream->Read(&first)) return grpc::Status::CANCELLED;
      return script(*stream, first.hello());
    }
    Script script;
    std::atomic<int> streams = 0;
  };

  struct Registry final : flowloom::v1::Models::Service {
    flowloom::v1::ModelVersion describe(std::uint32_t number) const {
      const std::string& bytes = checkpoints.at(number);
      const Sha256 digest = sha256(bytes);
      flowloom::v1::ModelVersion version;
      version.set_version(number);
      version.set_sha256(digest.data(), digest.size());
      version.set_size(bytes.size());
      return version;
    }
    grpc::Status List(grpc::ServerContext*, const flowloom::v1::ListRequest*, flowloom::v1::ListReply* reply) override {
      for (const auto& [number, bytes] : checkpoints) *reply->add_versions() = describe(number);
      return grpc::Status::OK;
    }
    grpc::Status Fetch(grpc::ServerContext*, const flowloom::v1::FetchRequest* request,
                       grpc::ServerWriter<flowloom::v1::FetchReply>* writer) override {
      ++fetches;
      std::string bytes = checkpoints.at(request->version());
      if (damaged-- > 0) bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
      flowloom::v1::FetchReply reply;
      for (std::size_t sent = 0; sent < bytes.size(); sent += 1000) {
        reply.set_chunk(bytes.substr(sent, 1000));
        writer->Write(reply);
      }
      return grpc::Status::OK;
    }
    std::map<std::uint32_t, std::string> checkpoints;
    std::atomic<int> fetches = 0, damaged = 0;
  };

  Workers work_;
  Registry models_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace flowloom
