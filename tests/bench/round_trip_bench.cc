// Units through a coordinator over loopback: workers that answer at once, so that each unit is grant, answer, accept
// test, statistics, link and durable commit. With one worker and one credit the inverse of its rate is the time from a
// grant to the next, and the time of an iteration the one from a commit to the next. With more: the coordinator's
// throughput, both ends of gRPC on the same cores.
#include <benchmark/benchmark.h>

#include <thread>
#include <vector>

#include "canned_worker.h"
#include "served_run.h"

namespace flowloom {
namespace {

void units(benchmark::State& state) {
  const ServedRun served("round_trip", kSmallRun, true);
  const grpc::Slice answer = canned_answer(served.run());
  std::vector<std::unique_ptr<CannedWorker>> workers;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    workers.push_back(std::make_unique<CannedWorker>(served.address(), served.directory().token(),
                                                     static_cast<std::uint32_t>(state.range(1)), answer));
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
