// Proposals per second of one core: draw one unit of phi^4 by a flow of 16 affine layers, hidden 8,8, kernel 3.
#include <benchmark/benchmark.h>

#include "flow/catalog.h"
#include "flow/engine.h"
#include "spec/error.h"

namespace flowloom {
namespace {

RunSpec run_of(std::int64_t extent) {
  const std::string l = std::to_string(extent);
  return load_run_text("[run]\nname = \"bench\"\n[theory]\nkind = \"phi4\"\nlattice = [" + l + ", " + l +
                           "]\nm2 = -4.0\nlambda = 8.0\n[flow]\nkind = \"affine-coupling\"\n[chain]\nlength = 1\n",
                       "bench");
}

void draw_unit(benchmark::State& state, const std::string& engine_name) {
  std::shared_ptr<const Engine> engine;
  try {
    engine = open_engine(engine_name);
  } catch (const Error& error) {
    state.SkipWithError(error.what());
    return;
  }
  const RunSpec run = run_of(state.range(0));
  const auto count = static_cast<std::size_t>(state.range(1));
  const AnyFlow architecture = architecture_of(run);
  const auto model =
      engine->model(theory_of(run), architecture, architecture->initial_weights(run.noise_key()), Precision::kMixed);
  std::uint64_t first = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model->draw(run.noise_key(), Purpose::kBase, first, count));
    first += count;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(first));
}

void train_unit(benchmark::State& state) {
  std::shared_ptr<const Engine> engine;
  try {
    engine = open_engine("torch");
  } catch (const Error& error) {
    state.SkipWithError(error.what());
    return;
  }
  const RunSpec run = run_of(state.range(0));
  const auto count = static_cast<std::size_t>(state.range(1));
  const AnyFlow architecture = architecture_of(run);
  const auto objective = engine->objective(theory_of(run), architecture, Precision::kMixed);
  const auto weights = architecture->initial_weights(run.noise_key());
  std::uint64_t first = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        objective->reverse_kl(Estimator::kReparameterised, weights, run.noise_key(), first, count));
    first += count;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(first));
}

const std::vector<std::vector<std::int64_t>> kSizes{{8, 16}, {256, 1024}};

}  // namespace

BENCHMARK_CAPTURE(draw_unit, torch, "torch")->ArgNames({"L", "unit"})->ArgsProduct(kSizes);
BENCHMARK_CAPTURE(draw_unit, lanes, "lanes")->ArgNames({"L", "unit"})->ArgsProduct({{8, 16}, {256}});
BENCHMARK(train_unit)->ArgNames({"L", "unit"})->ArgsProduct({{8, 16}, {64, 128, 256}});

}  // namespace flowloom
