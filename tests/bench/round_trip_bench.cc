// Seconds from a unit's grant to the next one over loopback: one worker with one credit, which answers at once, so that
// each turn is grant, answer, accept test, durable commit. With more credits: the coordinator's throughput.
#include <benchmark/benchmark.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "coordinator/brain.h"
#include "coordinator/opening.h"
#include "coordinator/services.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "flowloom/v1/coordinator.grpc.pb.h"
#include "program/rpc.h"
#include "spec/files.h"

namespace flowloom {
namespace {

namespace v1 = flowloom::v1;

void unit_round_trip(benchmark::State& state) {
  spdlog::set_level(spdlog::level::off);
  const auto base = std::filesystem::current_path() / "round_trip_bench.tmp";
  std::filesystem::remove_all(base);
  std::filesystem::create_directories(base);
  const std::string text =
      "[run]\nname = \"bench\"\nengine = \"lanes\"\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4.0\nlambda = "
      "8.0\n"
      "[flow]\nkind = \"affine-coupling\"\nlayers = 2\n[chain]\nlength = 1000000000000\n"
      "versions = [{ from = 0, when = { file = \"model.safetensors\" } }]\n";
  const RunSpec run = load_run_text(text, "bench");
  Checkpoint checkpoint{
      run.theory, run.flow, run.numerics.precision, 0, architecture_of(run).initial_weights(run.noise_key()), {}};
  const auto engine = open_engine("lanes");
  add_references(checkpoint, *engine);
  write_file_atomically(base / "model.safetensors", checkpoint.bytes());
  write_file_atomically(base / "run.toml", text);
  const RunDirectory directory(base / "run");
  {
    OpenedRun opened = open_run(directory, base / "run.toml", {});
    Brain brain(std::move(opened), directory);
    const Services services(brain, "127.0.0.1:0", directory.token());
    auto stub = v1::Coordinator::NewStub(open_channel(services.address(), false));
    grpc::ClientContext context;
    prepare(context, directory.token(), std::chrono::milliseconds(0));
    auto stream = stub->Work(&context);
    v1::WorkerMessage hello;
    hello.mutable_hello()->set_protocol(kProtocol);
    hello.mutable_hello()->add_capabilities("sample");
    hello.mutable_hello()->set_credits(static_cast<std::uint32_t>(state.range(0)));
    auto* numerics = hello.mutable_hello()->add_engines();
    numerics->set_engine("lanes");
    numerics->set_precision("mixed");
    numerics->set_revision(kNumericsRevision);
    stream->Write(hello);
    const std::string zeros(run.unit * sizeof(double), '\0');
    const std::string sums(4 * run.unit * sizeof(double), '\0');
    v1::CoordinatorMessage message;
    const auto next_grant = [&] {
      while (stream->Read(&message)) {
        if (message.has_sample()) return true;
        if (message.has_prepare()) {
          v1::WorkerMessage ready;
          ready.mutable_ready()->set_version(message.prepare().version().version());
          stream->Write(ready);
        }
      }
      return false;
    };
    std::int64_t proposals = 0;
    for (auto _ : state) {
      if (!next_grant()) {
        state.SkipWithError("the stream ended");
        break;
      }
      v1::WorkerMessage answer;
      answer.mutable_sample()->set_unit(message.sample().first_unit());
      answer.mutable_sample()->set_version(message.sample().version());
      answer.mutable_sample()->set_log_p(zeros);
      answer.mutable_sample()->set_log_q(zeros);
      answer.mutable_sample()->set_sums(sums);
      stream->Write(answer);
      proposals += static_cast<std::int64_t>(run.unit);
    }
    state.SetItemsProcessed(proposals);
    context.TryCancel();
    while (stream->Read(&message)) {
    }
    stream->Finish();
  }
  std::filesystem::remove_all(base);
}

}  // namespace

BENCHMARK(unit_round_trip)->ArgName("credits")->Arg(1)->Arg(32)->UseRealTime();

}  // namespace flowloom
