// Chains of a flow's proposals of U(1) gauge fields against exact results. A flow is trained here, briefly, from random weights; the
// chain is exact whatever it became.
//
// False alarms: 48 means, each wrongly refused beyond 4 sigma with a probability of 6e-5 if errors were known: 0.3 % in all. Seeds are
// fixed, so that a test which passes goes on passing. ln Z comes with the delta method's error, of independent draws.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>

#include "flow/catalog.h"
#include "flow/engine.h"
#include "lattice/exact_2d.h"
#include "server/adam.h"
#include "stats/ess.h"
#include "stats/gamma_method.h"

namespace flowloom {
namespace {

struct GaugeRun {
  RunSpec run;
  AnyTheory theory;
  AnyFlow flow;
  std::vector<double> weights;
};

// Halve the torus of 8x8 down to plaquettes.
constexpr char kHalving[] =
    "kernel = 1\ncontext = \"around\"\nmasks = ["
    "{ directions = [1], at = [0, 4], every = [8, 8], loop = [4, 8], half_around = true }, "
    "{ directions = [1], at = [2, 4], every = [4, 8], loop = [2, 8], half_around = true }, "
    "{ directions = [1], at = [1, 4], every = [2, 8], loop = [1, 8], half_around = true }, "
    "{ directions = [0], at = [0, 0], every = [1, 8], loop = [1, 4], half_around = true }, "
    "{ directions = [0], at = [0, 2], every = [1, 4], loop = [1, 2], half_around = true }, "
    "{ directions = [0], at = [0, 1], every = [1, 2], half_around = true }]\n";

GaugeRun trained(std::int64_t extent, double beta, const std::string& map, std::int64_t steps,
                 const std::string& flow = "layers = 8\n") {
  const std::string lattice = "[" + std::to_string(extent) + ", " + std::to_string(extent) + "]";
  const RunSpec run = load_run_text(
      "[run]\nname = \"u1\"\n[theory]\nkind = \"u1\"\nlattice = " + lattice + "\nbeta = " + std::to_string(beta) +
          "\n[flow]\nkind = \"gauge-coupling\"\nhidden = [6]\nbins = 6\ninit_scale = 0.1\n" + flow + "map = \"" + map +
          "\"\n[train]\nlearning_rate = 1e-2\n[chain]\nlength = 1\n",
      "u1.toml");
  GaugeRun made{run, theory_of(run), architecture_of(run), {}};
  made.weights = made.flow->initial_weights(run.noise_key());
  const auto objective = open_engine("lanes")->objective(made.theory, made.flow, Precision::kMixed);
  Adam adam(made.weights.size());
  constexpr std::size_t kBatch = 64;
  for (std::int64_t step = 0; step < steps; ++step) {
    Gradient gradient = objective->reverse_kl(Estimator::kPath, made.weights, run.noise_key(),
                                              training_index(static_cast<std::uint64_t>(step), 0), kBatch);
    // A few samples near the steep parts of a map can have slopes that are larger than all others' by orders of magnitude.
    double square = 0;
    for (const double slope : gradient.sum) square += slope * slope / (kBatch * kBatch);
    if (!std::isfinite(square)) continue;
    const double scale = std::min(1.0, 20 / std::sqrt(square)) / kBatch;
    for (double& slope : gradient.sum) slope *= scale;
    adam.update(run.train, made.weights, gradient.sum, 1e-2 * (1 - static_cast<double>(step) / static_cast<double>(steps)),
                true);
  }
  return made;
}

// Independence Metropolis over `count` proposals; every observable's history, [observable][step].
struct History {
  std::vector<std::vector<double>> values;
  std::vector<double> log_w;
  double acceptance = 0;
};
History chain_of(const GaugeRun& made, std::size_t count) {
  const Draws draws = open_engine("lanes")
                          ->model(made.theory, made.flow, made.weights, Precision::kMixed)
                          ->draw(made.run.noise_key(), Purpose::kBase, 0, count, Fields::kDropped);
  const auto observables = theory_observables(made.theory);
  std::vector<std::vector<double>> all(observables.size(), std::vector<double>(count));
  for (std::size_t k = 0; k < all.size(); ++k) observables[k].values(draws.log_p, draws.sums.data(), all[k].data());
  History history{std::vector<std::vector<double>>(all.size()), {}, 0};
  std::size_t current = 0;
  for (std::size_t i = 0; i < count; ++i) {
    history.log_w.push_back(draws.log_p[i] - draws.log_q[i]);
    if (i == 0 || accept_log_u(made.run.noise_key(), i) < history.log_w[i] - history.log_w[current]) {
      current = i;
      history.acceptance += 1 / static_cast<double>(count);
    }
    for (std::size_t k = 0; k < all.size(); ++k) history.values[k].push_back(all[k][current]);
  }
  return history;
}

void expect_exact(std::int64_t extent, double beta, const std::string& map, std::int64_t steps, std::size_t count,
                  const std::string& flow = "layers = 8\n") {
  const GaugeRun made = trained(extent, beta, map, steps, flow);
  const History history = chain_of(made, count);
  const std::int64_t volume = extent * extent;
  const Exact2d exact = Exact2d::u1(beta);
  const std::map<std::string, double> known{{"plaquette", exact.average_plaquette(volume)},
                                            {"wilson_1x2", exact.wilson_loop(2, volume)},
                                            {"wilson_2x2", exact.wilson_loop(4, volume)},
                                            {"wilson_3x3", exact.wilson_loop(9, volume)},
                                            {"chi_q", u1_susceptibility(beta, volume)}};
  const auto observables = theory_observables(made.theory);
  const std::string name = std::to_string(extent) + "x" + std::to_string(extent) + " beta " + std::to_string(beta) + " " + map;
  for (std::size_t k = 0; k < observables.size(); ++k) {
    const auto found = known.find(observables[k].name);
    if (found == known.end()) continue;
    const auto estimate = stats::gamma_method(history.values[k]);
    const double sigma = (estimate.value - found->second) / estimate.error;
    EXPECT_LT(std::abs(sigma), 4) << name << " " << found->first;
    std::printf("%s %-10s %.6f(%.6f) exact %.6f: %+.2f sigma, tau_int %.2f\n", name.c_str(), found->first.c_str(),
                estimate.value, estimate.error, found->second, sigma, estimate.tau_int);
  }
  // Z with respect to d theta: (2 pi)^2V times that with respect to Haar's measure.
  double mean = 0, square = 0;
  const double log_z = exact.log_z(volume) + 2 * static_cast<double>(volume) * std::log(kTwoPi);
  for (const double log_w : history.log_w) {
    mean += std::exp(log_w - log_z) / static_cast<double>(count);
    square += std::exp(2 * (log_w - log_z)) / static_cast<double>(count);
  }
  const double error = std::sqrt((square - mean * mean) / static_cast<double>(count));
  EXPECT_LT(std::abs(mean - 1), 4 * error) << name << " Z";
  std::printf("%s Z/exact %.5f(%.5f): %+.2f sigma; ESS %.3f, acceptance %.3f\n", name.c_str(), mean, error,
              (mean - 1) / error, stats::ess(history.log_w), history.acceptance);
  EXPECT_GT(history.acceptance, 0.1) << name << ": a chain that hardly moves proves nothing";
}

TEST(ExactnessOfGaugeChains, U1OnTheTorusIsExactOnASmallVolume) {
  expect_exact(4, 1, "spline", 150, 100000);
  expect_exact(4, 2, "mixture", 300, 100000);
  expect_exact(4, 3, "mixture", 400, 100000);
}

TEST(ExactnessOfGaugeChains, U1OnTheTorusIsExactOnALargerVolume) {
  expect_exact(8, 0.5, "mixture", 100, 50000);
  expect_exact(8, 1, "spline", 250, 50000);
  expect_exact(8, 1.5, "spline", 500, 50000);
}

// At beta = 5 a local algorithm hardly changes the charge any more.
TEST(ExactnessOfGaugeChains, FlowsThatHalveTheTorusAreExact) {
  const std::string flow = std::string("layers = 6\n") + kHalving;
  expect_exact(8, 3, "mixture", 2000, 100000, flow);
  expect_exact(8, 5, "mixture", 4000, 100000, flow);
}

}  // namespace
}  // namespace flowloom
