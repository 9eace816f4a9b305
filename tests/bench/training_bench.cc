// Training by lanes beside LibTorch and the peak of two cores: the table of docs/performance.md.
//
//   training_bench [--rounds N] [LATTICE HIDDEN ...]      as in  training_bench 8x8 8,8
//
// Whole steps on two threads: noise, forward, backward, gradient norm, optimiser. The flows are those of lanes_bench;
// every contestant has the best of a few batches. "LibTorch" is plain_torch.h as it comes, in a process of its own
// (training_bench --plain LATTICE HIDDEN GRADIENT as-it-comes|tuned), "tuned" with the memory allocator set as
// flow/torch/torch_engine.cc sets it. Figures are medians over rounds, ratios medians of each round's ratio.
#include <map>
#include <memory>
#include <thread>

#include "flow/lanes/affine_tables.h"
#include "flow/lanes/instruction_set.h"
#include "fma_peak.h"
#include "plain_torch.h"
#include "side_by_side.h"
#include "training_steps.h"

namespace flowloom {
namespace {

constexpr std::size_t kThreads = 2;

const char* name_of(Estimator estimator) { return estimator == Estimator::kPath ? "path" : "reparameterised"; }

double plain_rate(const Case& wanted, Estimator estimator) {
  const auto plain = plain_torch_training(wanted.theory, wanted.architecture, wanted.weights, estimator);
  return plain ? rate(plain, best_count(plain, theory_geometry(wanted.theory).sites())) : 0;
}

double peak_of_all_cores() {
  const std::string set = lanes::instruction_sets().front().name;
  std::array<double, kThreads> peaks;
  {
    std::vector<std::jthread> threads;
    for (double& peak : peaks) threads.emplace_back([&] { peak = fma_peak(set, kSeconds); });
  }
  double sum = 0;
  for (const double peak : peaks) sum += peak;
  return sum;
}

// Multiply-adds of one sample: the forward pass, its repetition on the way back, the slopes by the weights, and once or
// twice those by the activations.
double multiply_adds(const Case& wanted, Estimator estimator) {
  const lanes::AffineTables tables(theory_geometry(wanted.theory), wanted.architecture, lanes::Use::kGradients);
  const auto packed = lanes::AffineWeights<float>(tables, wanted.architecture, wanted.weights).networks;
  const double back = estimator == Estimator::kPath ? 2 : 1;
  return 3 * static_cast<double>(packed.multiply_adds(tables.networks)) +
         back * static_cast<double>(packed.transposed_multiply_adds(tables.networks));
}

void measure(const Case& wanted, int rounds) {
  const std::size_t volume = theory_geometry(wanted.theory).sites();
  std::map<std::string, std::vector<double>> lanes_rates;
  for (const Estimator estimator : {Estimator::kReparameterised, Estimator::kPath}) {
    struct Contestant {
      std::function<void(std::size_t)> step;
      std::size_t batch;
    };
    std::map<std::string, Contestant> contestants{
        {"lanes", {training_steps(wanted.run, estimator, "lanes", kThreads), 0}},
        {"torch", {training_steps(wanted.run, estimator, "torch", kThreads), 0}}};
    for (auto& [name, contestant] : contestants) contestant.batch = best_count(contestant.step, volume);
    const double each = multiply_adds(wanted, estimator);

    std::map<std::string, std::vector<double>> found;
    for (int round = 0; round < rounds; ++round) {
      std::map<std::string, double> now{{"peak", peak_of_all_cores()}};
      for (const auto& [name, contestant] : contestants) now[name] = rate(contestant.step, contestant.batch);
      const std::string plain = "--plain " + wanted.lattice + " " + wanted.hidden + " " + name_of(estimator);
      now["plain"] = measured_elsewhere(plain + " as-it-comes");
      now["tuned"] = measured_elsewhere(plain + " tuned");
      now["of peak"] = now["lanes"] * each / now["peak"];
      for (const char* other : {"plain", "tuned", "torch"}) {
        now[std::string("lanes/") + other] = now[other] > 0 ? now["lanes"] / now[other] : 0;
      }
      for (const auto& [name, value] : now) found[name].push_back(value);
    }
    const auto of = [&](const char* name) { return median(found[name]); };
    lanes_rates[name_of(estimator)] = found["lanes"];
    std::vector<double> slower;
    if (estimator == Estimator::kPath) {
      for (std::size_t i = 0; i < found["lanes"].size(); ++i) {
        slower.push_back(lanes_rates["reparameterised"][i] / found["lanes"][i]);
      }
    }
    std::printf("| %s | %s | %s | %.3g | %.0f | %.4g | %.0f %% | %s | %s | %s | %s | %.3g | %.1f | %s |\n",
                wanted.lattice.c_str(), wanted.hidden.c_str(), name_of(estimator), each / 1e6, 2 * of("peak") / 1e9,
                of("lanes"), 100 * of("of peak"), or_dash(of("plain"), "%.3g").c_str(),
                or_dash(of("lanes/plain"), "%.1f").c_str(), or_dash(of("tuned"), "%.3g").c_str(),
                or_dash(of("lanes/tuned"), "%.1f").c_str(), of("torch"), of("lanes/torch"),
                or_dash(median(slower), "%.2f").c_str());
    std::fflush(stdout);
  }
}

int run(std::vector<std::string> arguments) {
  if (arguments.size() == 5 && arguments[0] == "--plain") {
    if (arguments[4] == "tuned") tune_allocator();
    std::printf("%g\n", plain_rate({arguments[1], arguments[2]},
                                   arguments[3] == "path" ? Estimator::kPath : Estimator::kReparameterised));
    return 0;
  }
  const auto [rounds, cases] = wanted_of(arguments, 5, {"8x8", "16x16"});
  std::printf("%d rounds; peak of two cores in GFlop/s, rates in samples/s of two cores\n\n", rounds);
  std::printf(
      "| lattice | hidden | gradient | 10^6 fma/sample | peak | lanes | of peak | LibTorch | ratio | tuned LibTorch "
      "| ratio | engine torch | ratio | path/reparameterised time |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Case& wanted : cases) measure(wanted, rounds);
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("training_bench", argc, argv, flowloom::run); }
