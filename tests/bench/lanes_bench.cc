// Sampling by lanes beside this core's peak and LibTorch: the table of docs/performance.md.
//
//   lanes_bench [--set avx512|avx2|neon] [--rounds N] [LATTICE HIDDEN ...]      as in  lanes_bench 8x8 8,8
//
// 16 affine layers, kernel 3, the same weights for all. A round measures everything once, one after the other; figures
// are medians over rounds, ratios medians of each round's ratio. "LibTorch" is the same flow as its users write it
// (plain_torch.h): as it comes, in a process of its own (lanes_bench --plain LATTICE HIDDEN), and tuned, that is with
// the memory allocator set as flow/torch/torch_engine.cc sets it.
#include <map>
#include <thread>

#include "flow/lanes/affine_tables.h"
#include "flow/lanes/lanes_engine.h"
#include "fma_peak.h"
#include "plain_torch.h"
#include "side_by_side.h"

namespace flowloom {
namespace {

// The rate of plain LibTorch, 0 where it has no convolution.
double plain_rate(const Case& wanted) {
  const auto plain = plain_torch(wanted.theory, wanted.architecture, wanted.weights);
  return plain ? rate(plain, best_count(plain, theory_geometry(wanted.theory).sites())) : 0;
}

void measure(const Case& wanted, const lanes::InstructionSet& set, int rounds) {
  const auto& [lattice, hidden, run, architecture, theory, weights] = wanted;
  const Geometry& geometry = theory_geometry(theory);
  const lanes::AffineTables tables(geometry, architecture);
  const auto multiply_adds = static_cast<double>(
      lanes::AffineWeights<float>(tables, architecture, weights).networks.multiply_adds(tables.networks));

  const auto drawing = [&](const Model& model) {
    return [&](std::size_t count) { model.draw(run.noise_key(), Purpose::kBase, 0, count); };
  };
  const auto mixed = lanes_engine(set)->model(theory, architecture, weights, Precision::kMixed);
  const auto float64 = lanes_engine(set)->model(theory, architecture, weights, Precision::kFloat64);
  const auto reference = open_engine("torch")->model(theory, architecture, weights, Precision::kMixed);
  const auto plain = plain_torch(theory, architecture, weights);

  struct Contestant {
    std::function<void(std::size_t)> draw;
    std::size_t count;
  };
  std::map<std::string, Contestant> contestants{
      {"lanes", {drawing(*mixed), 0}}, {"float64", {drawing(*float64), 0}}, {"torch", {drawing(*reference), 0}}};
  if (plain) contestants["tuned"] = {plain, 0};
  for (auto& [name, contestant] : contestants) contestant.count = best_count(contestant.draw, geometry.sites());

  std::map<std::string, std::vector<double>> found;
  for (int round = 0; round < rounds; ++round) {
    std::map<std::string, double> now;
    now["peak"] = fma_peak(set.name, kSeconds);
    for (const auto& [name, contestant] : contestants) now[name] = rate(contestant.draw, contestant.count);
    double both[2];
    {
      const Contestant& lanes = contestants.at("lanes");
      std::jthread other([&] { both[0] = rate(lanes.draw, lanes.count); });
      both[1] = rate(lanes.draw, lanes.count);
    }
    now["plain"] = plain ? measured_elsewhere("--plain " + wanted.lattice + " " + wanted.hidden) : 0;
    now["lanes/plain"] = plain ? now["lanes"] / now["plain"] : 0;
    now["lanes/tuned"] = plain ? now["lanes"] / now["tuned"] : 0;
    now["lanes/torch"] = now["lanes"] / now["torch"];
    now["of peak"] = now["lanes"] * multiply_adds / now["peak"];
    now["two/one"] = (both[0] + both[1]) / now["lanes"];
    now["64/32"] = now["float64"] / now["lanes"];
    for (const auto& [name, value] : now) found[name].push_back(value);
  }
  const auto of = [&](const char* name) { return median(found[name]); };
  std::printf("| %s | %s | %.3g | %.0f | %.4g | %.0f %% | %s | %s | %s | %s | %.3g | %.1f | %.2f | %.2f |\n",
              lattice.c_str(), hidden.c_str(), multiply_adds / 1e6, 2 * of("peak") / 1e9, of("lanes"),
              100 * of("of peak"), or_dash(of("plain"), "%.3g").c_str(), or_dash(of("lanes/plain"), "%.1f").c_str(),
              or_dash(of("tuned"), "%.3g").c_str(), or_dash(of("lanes/tuned"), "%.1f").c_str(), of("torch"),
              of("lanes/torch"), of("64/32"), of("two/one"));
  std::fflush(stdout);
}

int run(std::vector<std::string> arguments) {
  lanes::InstructionSet set = lanes::instruction_sets().front();
  if (arguments.size() == 3 && arguments[0] == "--plain") {
    std::printf("%g\n", plain_rate({arguments[1], arguments[2]}));
    return 0;
  }
  const std::vector<std::string> lattices{"8x8", "16x16", "32x32", "8x8x8", "4x4x4x4", "8x8x8x8"};
  const auto [rounds, cases] =
      wanted_of(arguments, 7, lattices, [&](const std::string& option, const std::string& value) {
        std::vector<std::string> names;
        for (const lanes::InstructionSet& candidate : lanes::vector_instruction_sets()) {
          names.push_back(candidate.name);
          if (candidate.name == value) set = candidate;
        }
        if (option != "--set" || set.name != value) {
          throw Error(ErrorCode::kInvalidInput,
                      "There is no " + option + " " + value + " here; --set may be " + join_or(names) + ".");
        }
      });
  std::printf("instruction set %s, %d rounds; peak in GFlop/s, rates in samples/s of one core\n\n", set.name.c_str(),
              rounds);
  std::printf(
      "| lattice | hidden | 10^6 fma/sample | peak | lanes | of peak | LibTorch | ratio | tuned LibTorch | ratio "
      "| engine torch | ratio | float64/mixed | two cores/one |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Case& wanted : cases) measure(wanted, set, rounds);
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) { return flowloom::benchmark_main("lanes_bench", argc, argv, flowloom::run); }
