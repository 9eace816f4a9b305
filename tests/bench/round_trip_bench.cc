// Units through a coordinator over loopback: workers that answer at once, so that each unit is grant, answer, accept test,
// statistics, link and durable commit. With one worker and one credit: seconds from a grant to the next. With more: the
// coordinator's throughput, both ends of gRPC on the same cores.
#include <benchmark/benchmark.h>
#include <grpcpp/grpcpp.h>

#include <thread>
#include <vector>

#include "flowloom/v1/coordinator.grpc.pb.h"
#include "served_run.h"
#include "spec/noise.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

namespace v1 = flowloom::v1;

// Answers every unit with the same numbers.
class Echo {
 public:
  Echo(const ServedRun& served, std::uint32_t credits, const v1::WorkerMessage& answer)
      : stub_(v1::Coordinator::NewStub(open_channel(served.address(), false))), answer_(answer) {
    prepare(context_, served.directory().token(), std::chrono::milliseconds(0));
    stream_ = stub_->Work(&context_);
    stream_->Write(hello_of(credits, "sample"));
    thread_ = std::thread([this] { work(); });
  }
  ~Echo() {
    context_.TryCancel();
    thread_.join();
    stream_->Finish();
  }

 private:
  void work() {
    for (v1::CoordinatorMessage message; stream_->Read(&message);) {
      if (message.has_prepare()) {
        v1::WorkerMessage ready;
        ready.mutable_ready()->set_version(message.prepare().version().version());
        stream_->Write(ready);
      } else if (message.has_sample()) {
        answer_.mutable_sample()->set_unit(message.sample().first_unit());
        answer_.mutable_sample()->set_version(message.sample().version());
        if (!stream_->Write(answer_)) return;
      }
    }
  }

  std::unique_ptr<v1::Coordinator::Stub> stub_;
  v1::WorkerMessage answer_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  std::thread thread_;
};

// Weights of an ESS of about 0.8, as a trained flow has.
v1::WorkerMessage answer_of(const ServedRun& served) {
  const std::size_t unit = served.run().unit;
  std::vector<double> log_p(unit), log_q(unit), sums(4 * unit);
  fill_normal(served.run().noise_key(), Purpose::kBase, 0, log_p);
  fill_normal(served.run().noise_key(), Purpose::kBase, 1, sums);
  for (std::size_t k = 0; k < unit; ++k) log_p[k] *= 0.5;
  v1::WorkerMessage answer;
  answer.mutable_sample()->set_log_p(pack(log_p));
  answer.mutable_sample()->set_log_q(pack(log_q));
  answer.mutable_sample()->set_sums(pack(sums));
  return answer;
}

void units(benchmark::State& state) {
  const ServedRun served("round_trip",
                         "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4.0\nlambda = 8.0\n"
                         "[flow]\nkind = \"affine-coupling\"\nlayers = 2\n",
                         true);
  std::vector<std::unique_ptr<Echo>> workers;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    workers.push_back(std::make_unique<Echo>(served, static_cast<std::uint32_t>(state.range(1)), answer_of(served)));
  }
  const auto committed = [&] { return served.frontier(); };
  while (committed() == 0) std::this_thread::yield();
  const std::uint64_t per_iteration = state.range(1) == 1 ? served.run().unit : 1 << 20;  // proposals
  std::uint64_t begin = committed(), proposals = 0;
  for (auto _ : state) {
    const std::uint64_t end = begin + per_iteration;
    while (committed() < end) std::this_thread::sleep_for(std::chrono::microseconds(state.range(1) == 1 ? 20 : 1000));
    proposals += committed() - begin;
    begin = committed();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(proposals));
}

}  // namespace

BENCHMARK(units)->ArgNames({"workers", "credits"})->Args({1, 1})->Args({1, 32})->Args({4, 32})->UseRealTime();

}  // namespace flowloom
