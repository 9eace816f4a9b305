// A coordinator, in a process of its own, with many workers over loopback, each with a connection of its own and
// answers at once: its memory, its proposals per second, how evenly the workers are served. And the round trip of one
// unit while nobody else asks.
//
//   crowd_bench [--workers N] [--credits N] [--window UNITS] [--seconds N] [--rounds N]
#include <cstdio>
#include <map>

#include "canned_worker.h"
#include "coordinator_process.h"
#include "side_by_side.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using Workers = std::vector<std::unique_ptr<CannedWorker>>;

double since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }

// Returns when `condition` holds; throws after a minute.
void await(const char* what, const std::function<bool()>& condition) {
  for (const auto start = Clock::now(); !condition(); std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    if (since(start) > 60) throw Error(ErrorCode::kUnavailable, std::string("Nothing came of it in a minute: ") + what);
  }
}

// Milliseconds from a unit's grant to the next one's, one worker with one credit.
double round_trip(double seconds) {
  const CoordinatorProcess coordinator("crowd", kSmallRun);
  const grpc::Slice answer = canned_answer(coordinator.run());
  const CannedWorker worker(coordinator.address(), coordinator.token(), 1, answer);
  await("the first unit", [&] { return worker.answered() > 0; });
  const std::uint64_t before = worker.answered();
  const auto start = Clock::now();
  std::this_thread::sleep_for(Seconds(seconds));
  return 1000 * since(start) / static_cast<double>(worker.answered() - before);
}

struct Found {
  double rate, least, most, resident, peak;  // proposals/s; units of one worker; MB
};

Found crowd(std::size_t count, std::uint32_t credits, const std::string& window, double seconds) {
  const CoordinatorProcess coordinator("crowd", kSmallRun, "window = " + window + "\n");
  const grpc::Slice answer = canned_answer(coordinator.run());
  Workers workers;
  for (std::size_t i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<CannedWorker>(coordinator.address(), coordinator.token(), credits, answer));
  }
  await("all workers connected", [&] { return coordinator.status().workers_size() == static_cast<int>(count); });
  await("the first units", [&] { return coordinator.frontier() > 0; });
  std::this_thread::sleep_for(Seconds(1));  // until it is even
  std::vector<std::uint64_t> before;
  for (const auto& worker : workers) before.push_back(worker->answered());
  const std::uint64_t begin = coordinator.frontier();
  const auto start = Clock::now();
  std::this_thread::sleep_for(Seconds(seconds));
  std::vector<double> units;
  for (std::size_t i = 0; i < count; ++i) units.push_back(static_cast<double>(workers[i]->answered() - before[i]));
  const double rate = static_cast<double>(coordinator.frontier() - begin) / since(start);
  for (const auto& worker : workers) {
    if (worker->lost()) throw Error(ErrorCode::kUnavailable, "The coordinator has sent a worker away.");
  }
  return {rate, std::ranges::min(units), std::ranges::max(units), coordinator.megabytes("VmRSS"),
          coordinator.megabytes("VmHWM")};
}

int run(std::vector<std::string> arguments) {
  std::map<std::string, std::string> options{
      {"--workers", "1000"}, {"--credits", "2"}, {"--window", "256"}, {"--seconds", "10"}, {"--rounds", "3"}};
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (!options.contains(arguments[i]) || i + 1 == arguments.size()) {
      throw Error(ErrorCode::kInvalidInput,
                  "The options are --workers, --credits, --window, --seconds and --rounds, each with a number.");
    }
    options[arguments[i]] = arguments[i + 1];
  }
  const auto number = [&](const char* name) {
    int value = 0;
    const std::string& text = options[name];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || *end != '\0' || value < 1) {
      throw Error(ErrorCode::kInvalidInput, std::string(name) + " must be a number from 1, not " + text + ".");
    }
    return value;
  };
  const double seconds = number("--seconds");
  std::printf(
      "| round trip alone, ms | proposals/s | units of the least served | of the most | most/least | resident, MB | "
      "peak, MB |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (int round = 0; round < number("--rounds"); ++round) {
    const double alone = round_trip(std::min(seconds, 3.0));
    const Found found = crowd(static_cast<std::size_t>(number("--workers")),
                              static_cast<std::uint32_t>(number("--credits")), options["--window"], seconds);
    std::printf("| %.2f | %.2f M | %.0f | %.0f | %s | %.0f | %.0f |\n", alone, found.rate / 1e6, found.least,
                found.most, or_dash(found.least > 0 ? found.most / found.least : 0, "%.2f").c_str(), found.resident,
                found.peak);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("crowd_bench", argc, argv, flowloom::run); }
