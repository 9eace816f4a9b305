// The same durable units through PostgreSQL, Redis Streams, NATS JetStream and our coordinator, in turn, in one run:
// 1024 proposals of six numbers each, from four producers, at most 64 units of each under way.
//
//   baselines_bench [--rounds N] [--units N]
//
// The servers are Debian's; they and their folders live here, for one turn, in the working directory. Every turn counts
// from a warmed-up server on, while the producers go on. The others store the bytes; ours also does what it does with
// them: gRPC, hash chain, accept test, statistics.
#include <unistd.h>

#include <map>

#include "canned_worker.h"
#include "contestant.h"
#include "coordinator_process.h"
#include "program/program.h"
#include "side_by_side.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;

class Ours final : public Contestant {
 public:
  Ours() : coordinator_("baselines_run", kSmallRun), answer_(canned_answer(coordinator_.run())) {
    for (int i = 0; i < kProducers; ++i) {
      workers_.push_back(
          std::make_unique<CannedWorker>(coordinator_.address(), coordinator_.token(), kInFlight, answer_));
    }
  }

  std::uint64_t durable() override { return coordinator_.frontier() / kUnit; }
  std::uint64_t stored() override {
    workers_.clear();
    return coordinator_.frontier() / kUnit;
  }

 private:
  CoordinatorProcess coordinator_;
  grpc::Slice answer_;
  std::vector<std::unique_ptr<CannedWorker>> workers_;
};

std::unique_ptr<Contestant> start_ours(const std::filesystem::path&) { return std::make_unique<Ours>(); }

struct Entry {
  const char* name;
  Starter start;
  std::vector<double> rates{};  // proposals/s
};

constexpr std::uint64_t kWarmUp = 1024;  // units
constexpr std::chrono::seconds kPatience{120};

std::atomic<bool> interrupted = false;

// When, and with how many units durable, there are at least so many.
std::pair<Clock::time_point, std::uint64_t> await(Contestant& contestant, std::uint64_t units) {
  for (const auto start = Clock::now();; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    if (const std::uint64_t durable = contestant.durable(); durable >= units) return {Clock::now(), durable};
    if (interrupted) throw Error(ErrorCode::kUnavailable, "Interrupted.");
    if (Clock::now() - start > kPatience) throw Error(ErrorCode::kUnavailable, "Too slow: given up after two minutes.");
  }
}

// An empty one, gone at the end.
struct Folder {
  Folder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::filesystem::remove_all(path);
    ::sync();  // nobody pays for the one before
  }
  const std::filesystem::path path = std::filesystem::current_path() / "baselines.tmp";
};

double turn(const Entry& entry, std::uint64_t units) {
  const Folder folder;
  const auto contestant = entry.start(folder.path);
  const auto [start, before] = await(*contestant, kWarmUp);
  const auto [end, after] = await(*contestant, before + units);
  if (contestant->stored() < after) {
    throw Error(ErrorCode::kInternal, std::string(entry.name) + " has fewer units than it acknowledged.");
  }
  return static_cast<double>((after - before) * kUnit) / std::chrono::duration<double>(end - start).count();
}

int run(std::vector<std::string> arguments) {
  const Signals signals([](int count) {
    interrupted = true;
    if (count > 1) ::_exit(1);
  });
  std::map<std::string, int> options{{"--rounds", 5}, {"--units", 24576}};
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const bool known = options.contains(arguments[i]) && i + 1 < arguments.size();
    const int value = known ? std::atoi(arguments[i + 1].c_str()) : 0;
    if (value < 1)
      throw Error(ErrorCode::kInvalidInput, "The options are --rounds and --units, each with a number from 1.");
    options[arguments[i]] = value;
  }
  std::vector<Entry> entries{{"Flowloom's coordinator", start_ours},
                             {"PostgreSQL", start_postgresql},
                             {"Redis Streams", start_redis},
                             {"NATS JetStream", start_nats}};
  for (int round = 0; round < options["--rounds"]; ++round) {
    for (Entry& entry : entries) {
      entry.rates.push_back(turn(entry, static_cast<std::uint64_t>(options["--units"])));
      std::fprintf(stderr, "round %d, %s: %.2f M/s\n", round + 1, entry.name, entry.rates.back() / 1e6);
    }
  }
  std::printf(
      "| | proposals/s, median | slowest | fastest | ours is so many times as fast |\n| --- | --- | --- | --- | --- "
      "|\n");
  for (const Entry& entry : entries) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < entry.rates.size(); ++i) ratios.push_back(entries[0].rates[i] / entry.rates[i]);
    std::printf("| %s | %.2f M | %.2f M | %.2f M | %.2f |\n", entry.name, median(entry.rates) / 1e6,
                std::ranges::min(entry.rates) / 1e6, std::ranges::max(entry.rates) / 1e6, median(ratios));
  }
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("baselines_bench", argc, argv, flowloom::run); }
