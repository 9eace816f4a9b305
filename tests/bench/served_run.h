// A run with an untrained flow, served by a coordinator in this process on a free port of 127.0.0.1.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <string>

#include "coordinator/brain.h"
#include "coordinator/opening.h"
#include "coordinator/services.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "program/rpc.h"
#include "spec/files.h"

namespace flowloom {

class ServedRun {
 public:
  // `sections`: [theory], [flow] and [train] of the run file. With `serving`, the untrained flow is the chain's version;
  // without, nothing is to be sampled.
  ServedRun(const std::string& name, const std::string& sections, bool serving)
      : base_(std::filesystem::current_path() / (name + "_bench.tmp")), directory_(base_ / "run") {
    spdlog::set_level(spdlog::level::off);
    std::filesystem::remove_all(base_);
    std::filesystem::create_directories(base_);
    const std::string text = "[run]\nname = \"bench\"\nengine = \"lanes\"\n" + sections +
                             "[chain]\nlength = 1000000000000\nversions = [{ from = 0, when = " +
                             (serving ? "{ file = \"model.safetensors\" }" : "\"trained\"") + " }]\n";
    run_ = load_run_text(text, "bench");
    Checkpoint checkpoint{
        run_.theory, run_.flow, run_.numerics.precision, 0, architecture_of(run_).initial_weights(run_.noise_key()),
        {}};
    add_references(checkpoint, *open_engine("lanes"));
    write_file_atomically(base_ / "model.safetensors", checkpoint.bytes());
    write_file_atomically(base_ / "run.toml", text);
    brain_ = std::make_unique<Brain>(open_run(directory_, base_ / "run.toml", {}), directory_);
    services_ = std::make_unique<Services>(*brain_, "127.0.0.1:0", directory_.token());
  }
  ~ServedRun() {
    services_.reset();
    brain_.reset();
    std::filesystem::remove_all(base_);
  }

  const RunSpec& run() const { return run_; }
  const RunDirectory& directory() const { return directory_; }
  const std::string& address() const { return services_->address(); }
  // Proposals that are durable. Any thread.
  std::uint64_t frontier() const { return brain_->durable_frontier(); }

 private:
  std::filesystem::path base_;
  RunDirectory directory_;
  RunSpec run_;
  std::unique_ptr<Brain> brain_;
  std::unique_ptr<Services> services_;
};

// What a worker says first.
inline flowloom::v1::WorkerMessage hello_of(std::uint32_t credits, const std::string& capability) {
  flowloom::v1::WorkerMessage message;
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

}  // namespace flowloom
