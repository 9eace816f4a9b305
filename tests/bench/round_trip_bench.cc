// Seconds from a unit's grant to the next one over loopback: one worker with one credit, which answers at once, so that
// each turn is grant, answer, accept test, durable commit. With more credits: the coordinator's throughput.
#include <benchmark/benchmark.h>
#include <grpcpp/grpcpp.h>

#include "flowloom/v1/coordinator.grpc.pb.h"
#include "served_run.h"

namespace flowloom {
namespace {

namespace v1 = flowloom::v1;

void unit_round_trip(benchmark::State& state) {
  const ServedRun served("round_trip",
                         "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4.0\nlambda = 8.0\n"
                         "[flow]\nkind = \"affine-coupling\"\nlayers = 2\n",
                         true);
  auto stub = v1::Coordinator::NewStub(open_channel(served.address(), false));
  grpc::ClientContext context;
  prepare(context, served.directory().token(), std::chrono::milliseconds(0));
  auto stream = stub->Work(&context);
  stream->Write(hello_of(static_cast<std::uint32_t>(state.range(0)), "sample"));
  const std::size_t unit = served.run().unit;
  const std::string zeros(unit * sizeof(double), '\0');
  const std::string sums(4 * unit * sizeof(double), '\0');
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
    proposals += static_cast<std::int64_t>(unit);
  }
  state.SetItemsProcessed(proposals);
  context.TryCancel();
  while (stream->Read(&message)) {
  }
  stream->Finish();
}

}  // namespace

BENCHMARK(unit_round_trip)->ArgName("credits")->Arg(1)->Arg(32)->UseRealTime();

}  // namespace flowloom
