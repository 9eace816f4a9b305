// How a training step gets faster with workers: the table of docs/training.md, "On many workers".
//
//   sharing_bench [--steps N] [--workers N]
//
// The trainer, its sharing and the coordinator are the real ones; the network is a relay in front of the coordinator
// (tests/network/relay.h), whose line all connections share as they would share the coordinator's network card. Workers
// are simulated: each answers a gradient unit after the time that a core of this machine takes for it, which is
// measured first, with slopes of the right size; so many of them fit on two cores. The trainer computes with one
// thread.
#include <atomic>
#include <thread>

#include "canned_worker.h"
#include "network/relay.h"
#include "served_run.h"
#include "server/sharing.h"
#include "server/trainer.h"
#include "side_by_side.h"
#include "spec/packing.h"
#include "worker/message_queue.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

double since(Clock::time_point start) { return Seconds(Clock::now() - start).count(); }

constexpr std::uint32_t kCredits = 2;
constexpr double kPatience = 60;  // seconds until the first worker must have helped

// Waits for `seconds` instead of computing.
class SimulatedWorker {
 public:
  SimulatedWorker(const std::string& address, const std::string& token, std::size_t weights, std::size_t unit_size,
                  double seconds)
      : slopes_(pack(std::vector<double>(weights))),
        log_w_(pack(std::vector<double>(unit_size))),
        seconds_(seconds),
        stub_(v1::Coordinator::NewStub(own_connection(address))) {
    prepare(context_, token, std::chrono::milliseconds(0));
    stream_ = stub_->Work(&context_);
    stream_->Write(hello_of(kCredits, gradient_capability()));
    reader_ = std::jthread([this] { read(); });
    worker_ = std::jthread([this] { work(); });
  }
  ~SimulatedWorker() { context_.TryCancel(); }

 private:
  void read() {
    for (flowloom::v1::CoordinatorMessage message; stream_->Read(&message);) {
      if (message.has_weights()) newest_ = message.weights().offer();
      if (message.has_gradient()) grants_.push(message.gradient());
    }
    grants_.close();
  }

  // As worker/session.cc does: a grant of a step that is done is given back at once.
  void work() {
    while (const auto grant = grants_.pop()) {
      flowloom::v1::WorkerMessage answer;
      auto* gradient = answer.mutable_gradient();
      gradient->set_step(grant->step());
      gradient->set_unit(grant->unit());
      gradient->set_offer(grant->offer());
      if (grant->offer() == newest_) {
        std::this_thread::sleep_for(Seconds(seconds_));
        gradient->set_slopes(slopes_);
        gradient->set_log_w(log_w_);
      }
      if (!stream_->Write(answer)) break;
    }
    context_.TryCancel();
    reader_.join();
    stream_->Finish();
  }

  std::string slopes_, log_w_;
  double seconds_;
  std::atomic<std::uint64_t> newest_ = 0;
  MessageQueue<flowloom::v1::GradientGrant> grants_{kCredits + 1};
  std::unique_ptr<flowloom::v1::Coordinator::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<flowloom::v1::WorkerMessage, flowloom::v1::CoordinatorMessage>> stream_;
  std::jthread reader_, worker_;
};

struct Problem {
  const char* lattice;
  std::size_t batch, unit;
};

struct Network {
  const char* name;
  Line line;
};

std::string sections_of(const Problem& problem) {
  return std::string("[theory]\nkind = \"phi4\"\nlattice = [") + problem.lattice +
         "]\nm2 = -4.0\nlambda = 8.0\n[flow]\nkind = \"affine-coupling\"\nlayers = 16\nhidden = [8, 8]\n"
         "[train]\ngradient = \"path\"\nlearning_rate = 1e-6\nevaluate_every = 1000000\nbatch = " +
         std::to_string(problem.batch) + "\ngradient_unit = " + std::to_string(problem.unit) +
         "\nstop = { steps = 1000000 }\n";
}

void measure(const Problem& problem, const Network& network, std::size_t workers, double unit_seconds, int steps) {
  const ServedRun served("sharing", sections_of(problem), false);
  const Relay relay(served.address(), network.line);
  const RunSpec& run = served.run();
  const std::size_t weights = architecture_of(run)->parameter_count();
  const std::string token = served.directory().token();
  std::vector<std::unique_ptr<SimulatedWorker>> simulated;
  for (std::size_t i = 0; i < workers; ++i) {
    simulated.push_back(std::make_unique<SimulatedWorker>(relay.address(), token, weights, problem.unit, unit_seconds));
  }
  Sharing sharing(
      PeerFinder({.directory = {}, .address = relay.address(), .token_file = served.directory().token_file()}), "",
      training_identity(run));
  Trainer trainer(run, TrainingEngines(open_engine("lanes"), open_engine("lanes")), 1, {}, {}, &sharing);
  const auto begun = Clock::now();
  while (workers > 0 && trainer.helped_units() == 0) {  // until the first is there; then two steps more
    if (since(begun) > kPatience) throw Error(ErrorCode::kInternal, "No worker has helped.");
    trainer.advance();
  }
  trainer.advance();
  trainer.advance();
  const std::int64_t helped = trainer.helped_units();
  const std::uint64_t to = relay.bytes_to(), back = relay.bytes_back();
  const auto start = Clock::now();
  for (int i = 0; i < steps; ++i) trainer.advance();
  const double seconds = since(start) / steps;
  const double units = static_cast<double>(problem.batch / problem.unit);
  const double alone = unit_seconds * units;
  std::printf("| [%s] | %zu | %zu | %s | %zu | %.3f | %.1f | %.0f %% | %.0f %% | %.1f | %.1f |\n", problem.lattice,
              problem.batch, problem.unit, network.name, workers, seconds, alone / seconds,
              100 * alone / seconds / static_cast<double>(workers + 1),
              100 * static_cast<double>(trainer.helped_units() - helped) / (units * steps),
              static_cast<double>(relay.bytes_to() - to) / steps / 1e6,
              static_cast<double>(relay.bytes_back() - back) / steps / 1e6);
  std::fflush(stdout);
}

int run(std::vector<std::string> arguments) {
  int steps = 5;
  std::vector<std::size_t> counts = {1, 4, 16, 64, 128};
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string value = i + 1 < arguments.size() ? arguments[i + 1] : "";
    if (arguments[i] == "--steps" && !value.empty()) {
      steps = std::stoi(value);
    } else if (arguments[i] == "--workers" && !value.empty()) {
      counts = {std::stoul(value)};
    } else {
      throw Error(ErrorCode::kInvalidInput, "Options are --steps N and --workers N, not " + arguments[i] + ".");
    }
  }
  const Network networks[] = {
      {"10 Gbit/s, 0.05 ms", {1.25e9, Seconds(5e-5)}},
      {"1 Gbit/s, 0.1 ms", {1.25e8, Seconds(1e-4)}},
      {"1 Gbit/s, 5 ms", {1.25e8, Seconds(5e-3)}},
  };
  const Problem problems[] = {{"16, 16", 4096, 64}, {"20, 20", 16384, 64}, {"20, 20", 16384, 256}};
  std::printf(
      "| lattice | batch | unit | network | workers | s per step | speed-up | of ideal | units by workers | MB to "
      "coordinator | MB from it |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Problem& problem : problems) {
    const RunSpec spec =
        load_run_text("[run]\nname = \"bench\"\n" + sections_of(problem) + "[chain]\nlength = 1\n", "bench");
    const auto objective =
        open_engine("lanes")->objective(theory_of(spec), architecture_of(spec), spec.numerics.precision);
    const std::vector<double> weights = architecture_of(spec)->initial_weights(spec.noise_key());
    const double samples = rate(
        [&](std::size_t count) { objective->reverse_kl(spec.train.gradient, weights, spec.noise_key(), 0, count); },
        problem.unit);
    const double unit_seconds = static_cast<double>(problem.unit) / samples;
    std::printf("| [%s] | %zu | %zu | – | 0 | %.3f | 1 | 100 %% | – | – | – |\n", problem.lattice, problem.batch,
                problem.unit, unit_seconds * static_cast<double>(problem.batch / problem.unit));
    for (const Network& network : networks) {
      for (const std::size_t workers : counts) measure(problem, network, workers, unit_seconds, steps);
    }
  }
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("sharing_bench", argc, argv, flowloom::run); }
