// Both engines beside each other, whatever the theory and the flow: the same formulas on vectors, and composed of
// LibTorch's operations.
//
//   engines_bench [--rounds N] RUN.toml ...
//
// Draws on one core, whole training steps (noise, forward, backward, gradient norm, optimiser) on two; each engine with
// the best of a few batches. Figures are medians over rounds, ratios medians of each round's ratio.
#include <map>
#include <memory>

#include "side_by_side.h"
#include "training_steps.h"

namespace flowloom {
namespace {

constexpr std::size_t kThreads = 2;

std::function<void(std::size_t)> draws(const RunSpec& run, const std::string& engine) {
  const AnyFlow architecture = architecture_of(run);
  const std::shared_ptr<const Model> model = open_engine(engine)->model(
      theory_of(run), architecture, architecture->initial_weights(run.noise_key()), run.numerics.precision);
  return [=, key = run.noise_key(), first = std::uint64_t{0}](std::size_t count) mutable {
    model->draw(key, Purpose::kBase, first, count);
    first += count;
  };
}

void measure(const std::string& file, int rounds) {
  const RunSpec run = load_run_file(file);
  const std::size_t variables = theory_variables(theory_of(run));
  using Work = std::function<std::function<void(std::size_t)>(const std::string& engine)>;
  const auto steps = [&](Estimator estimator) {
    return [&run, estimator](const std::string& engine) { return training_steps(run, estimator, engine, kThreads); };
  };
  const std::vector<std::pair<const char*, Work>> works{
      {"draws, one core", [&](const std::string& engine) { return draws(run, engine); }},
      {"reparameterised steps, two", steps(Estimator::kReparameterised)},
      {"path steps, two", steps(Estimator::kPath)}};
  for (const auto& [name, work] : works) {
    std::map<std::string, std::vector<double>> found;
    const auto lanes = work("lanes"), torch = work("torch");
    const std::size_t lanes_count = best_count(lanes, variables), torch_count = best_count(torch, variables);
    for (int round = 0; round < rounds; ++round) {
      found["lanes"].push_back(rate(lanes, lanes_count));
      found["torch"].push_back(rate(torch, torch_count));
      found["ratio"].push_back(found["lanes"].back() / found["torch"].back());
    }
    std::printf("| %s | %s | %.4g (%zu) | %.4g (%zu) | %.1f |\n", run.name.c_str(), name, median(found["lanes"]),
                lanes_count, median(found["torch"]), torch_count, median(found["ratio"]));
    std::fflush(stdout);
  }
}

int run(std::vector<std::string> arguments) {
  int rounds = 5;
  if (arguments.size() > 1 && arguments[0] == "--rounds") {
    rounds = rounds_of(arguments[1]);
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.empty())
    throw Error(ErrorCode::kInvalidInput, "Name run files: engines_bench [--rounds N] RUN.toml ...");
  std::printf(
      "%d rounds; samples/s (at once)\n\n| run | | lanes | LibTorch | ratio |\n| --- | --- | --- | --- | --- |\n",
      rounds);
  for (const std::string& file : arguments) measure(file, rounds);
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("engines_bench", argc, argv, flowloom::run); }
