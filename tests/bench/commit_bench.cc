// Durable proposals per second of the store, hash chain, accept test and live statistics: units of 1024 with four sums,
// synchronous=FULL, a given number of units to a transaction. No network.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "chain/chain.h"
#include "chain/statistics.h"
#include "chain/store.h"
#include "flow/catalog.h"

namespace flowloom {
namespace {

void commit_units(benchmark::State& state) {
  const RunSpec run = load_run_text(
      "[run]\nname = \"bench\"\n[theory]\nkind = \"phi4\"\nlattice = [8, 8]\nm2 = -4.0\nlambda = 8.0\n"
      "[flow]\nkind = \"affine-coupling\"\n[chain]\nlength = 1\n",
      "bench");
  const auto units = static_cast<std::size_t>(state.range(0));
  const auto directory = std::filesystem::current_path() / "commit_bench.tmp";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  {
    Store store = Store::create(directory / "chain.sqlite", run, "bench");
    Chain chain(run.noise_key());
    ChainStatistics statistics(theory_of(run));
    std::vector<double> normals(run.unit);
    fill_normal(run.noise_key(), Purpose::kBase, 0, normals);
    for (auto _ : state) {
      std::vector<Record> records;
      for (std::size_t i = 0; i < units; ++i) {
        UnitData data{chain.frontier(), 1, normals, std::vector<double>(run.unit, 0.0),
                      std::vector<double>(4 * run.unit, 1.0)};
        auto accepted = chain.advance(data);
        records.push_back(UnitRecord{std::move(data), std::move(accepted)});
      }
      store.append(records);
      for (const Record& record : records) statistics.add(std::get<UnitRecord>(record));
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(chain.frontier()));
  }
  std::filesystem::remove_all(directory);
}

}  // namespace

BENCHMARK(commit_units)->ArgName("units_per_transaction")->Arg(1)->Arg(8)->Arg(64)->UseRealTime();

}  // namespace flowloom
