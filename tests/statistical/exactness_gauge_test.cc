// Chains of a flow's proposals of U(1), SU(2) and SU(3) gauge fields against exact results, and of the Schwinger
// model's against its pure gauge theory, reweighted. A flow is trained here, briefly, from random weights; the chain is
// exact whatever it became.
//
// False alarms: 114 means and Z's, each wrongly refused beyond 4 sigma with a probability of 6e-5 if errors were known:
// 0.7 % in all. Seeds are fixed, so that a test which passes goes on passing. ln Z comes with the delta method's error,
// of independent draws.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "chain/chain.h"
#include "flow/catalog.h"
#include "flow/engine.h"
#include "lattice/exact_2d.h"
#include "lattice/references.h"
#include "server/adam.h"
#include "stats/ess.h"
#include "stats/gamma_method.h"

namespace flowloom {
namespace {

struct Case {
  std::string theory;  // "u1", "su2", "su3", "schwinger"
  std::int64_t extent;
  double beta;
  std::string flow;  // further lines of the section
  std::int64_t steps;
  std::size_t count;
  int layers = 8;
  double kappa = 0;  // of "schwinger"
};

struct GaugeRun {
  RunSpec run;
  AnyTheory theory;
  AnyFlow flow;
  std::vector<double> weights;
};

GaugeRun trained(const Case& own) {
  const std::string lattice = "[" + std::to_string(own.extent) + ", " + std::to_string(own.extent) + "]";
  const RunSpec run = load_run_text(
      "[run]\nname = \"gauge\"\n[theory]\nkind = \"" + own.theory + "\"\nlattice = " + lattice +
          "\nbeta = " + std::to_string(own.beta) + (own.kappa > 0 ? "\nkappa = " + std::to_string(own.kappa) : "") +
          "\n[flow]\nkind = \"" + (own.theory.starts_with("su") ? "spectral-coupling" : "gauge-coupling") +
          "\"\nlayers = " + std::to_string(own.layers) + "\nhidden = [6]\ninit_scale = 0.1\n" + own.flow +
          "\n[train]\nlearning_rate = 1e-2\n[chain]\nlength = 1\n",
      "gauge.toml");
  GaugeRun made{run, theory_of(run), architecture_of(run), {}};
  made.weights = made.flow->initial_weights(run.noise_key());
  const auto objective = open_engine("lanes")->objective(made.theory, made.flow, Precision::kMixed);
  Adam adam(made.weights.size());
  constexpr std::size_t kBatch = 64;
  for (std::int64_t step = 0; step < own.steps; ++step) {
    Gradient gradient = objective->reverse_kl(Estimator::kPath, made.weights, run.noise_key(),
                                              training_index(static_cast<std::uint64_t>(step), 0), kBatch);
    // A few samples near the steep parts of a map can have slopes that are larger than all others' by orders of
    // magnitude.
    double square = 0;
    for (const double slope : gradient.sum) square += slope * slope / (kBatch * kBatch);
    if (!std::isfinite(square)) continue;
    const double scale = std::min(1.0, 20 / std::sqrt(square)) / kBatch;
    for (double& slope : gradient.sum) slope *= scale;
    adam.update(run.train, made.weights, gradient.sum,
                1e-2 * (1 - static_cast<double>(step) / static_cast<double>(own.steps)), true);
  }
  return made;
}

// A chain of `count` proposals; every observable's history, [observable][step].
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
  Chain chain(made.run.noise_key());
  const auto accepted = chain.advance(UnitData{0, 1, draws.log_p, draws.log_q, {}});
  EXPECT_EQ(accepted[0], 1) << "there is a state from the first step on";
  History history{std::vector<std::vector<double>>(all.size()), {}, 0};
  std::size_t current = 0;
  for (std::size_t i = 0; i < count; ++i) {
    history.log_w.push_back(draws.log_p[i] - draws.log_q[i]);
    if (accepted[i] != 0) {
      current = i;
      history.acceptance += 1 / static_cast<double>(count);
    }
    for (std::size_t k = 0; k < all.size(); ++k) history.values[k].push_back(all[k][current]);
  }
  return history;
}

Exact2d exact_of(const Case& own) {
  if (own.theory == "u1") return Exact2d::u1(own.beta);
  return own.theory == "su2" ? Exact2d::su2(own.beta) : Exact2d::su3(own.beta);
}

void expect_exact(const Case& own) {
  const GaugeRun made = trained(own);
  const History history = chain_of(made, own.count);
  const std::int64_t volume = own.extent * own.extent;
  const auto count = static_cast<double>(own.count);
  const Exact2d exact = exact_of(own);
  std::map<std::string, double> known{{"plaquette", exact.average_plaquette(volume)},
                                      {"wilson_1x2", exact.wilson_loop(2, volume)},
                                      {"wilson_2x2", exact.wilson_loop(4, volume)},
                                      {"wilson_3x3", exact.wilson_loop(9, volume)}};
  if (own.theory == "u1") known["chi_q"] = u1_susceptibility(own.beta, volume);
  const auto observables = theory_observables(made.theory);
  const std::string size = std::to_string(own.extent);
  std::string name = own.theory + " " + size + "x" + size + " beta " + std::to_string(own.beta) + " " + own.flow;
  std::ranges::replace(name, '\n', ' ');
  for (std::size_t k = 0; k < observables.size(); ++k) {
    const auto found = known.find(observables[k].name);
    if (found == known.end()) continue;
    const auto estimate = stats::gamma_method(history.values[k]);
    const double sigma = (estimate.value - found->second) / estimate.error;
    EXPECT_LT(std::abs(sigma), 4) << name << " " << found->first;
    std::printf("%s %-10s %.6f(%.6f) exact %.6f: %+.2f sigma, tau_int %.2f\n", name.c_str(), found->first.c_str(),
                estimate.value, estimate.error, found->second, sigma, estimate.tau_int);
  }
  // Z of U(1) is with respect to d theta: (2 pi)^2V times that with respect to Haar's measure.
  double mean = 0, square = 0;
  const double log_z =
      exact.log_z(volume) + (own.theory == "u1" ? 2 * static_cast<double>(volume) * std::log(kTwoPi) : 0);
  for (const double log_w : history.log_w) {
    mean += std::exp(log_w - log_z) / count;
    square += std::exp(2 * (log_w - log_z)) / count;
  }
  const double error = std::sqrt((square - mean * mean) / count);
  EXPECT_LT(std::abs(mean - 1), 4 * error) << name << " Z";
  std::printf("%s Z/exact %.5f(%.5f): %+.2f sigma; ESS %.3f, acceptance %.3f\n", name.c_str(), mean, error,
              (mean - 1) / error, stats::ess(history.log_w), history.acceptance);
  EXPECT_GT(history.acceptance, 0.1) << name << ": a chain that hardly moves proves nothing";
}

constexpr char kSpline[] = "map = \"spline\"\nbins = 6", kMixture[] = "map = \"mixture\"";

TEST(ExactnessOfGaugeChains, U1OnTheTorusIsExactOnASmallVolume) {
  expect_exact({"u1", 4, 1, kSpline, 150, 100000});
  expect_exact({"u1", 4, 2, kMixture, 300, 100000});
  expect_exact({"u1", 4, 3, kMixture, 400, 100000});
}

TEST(ExactnessOfGaugeChains, U1OnTheTorusIsExactOnALargerVolume) {
  expect_exact({"u1", 8, 0.5, kMixture, 100, 50000});
  expect_exact({"u1", 8, 1, kSpline, 250, 50000});
  expect_exact({"u1", 8, 1.5, kSpline, 500, 50000});
}

// Halve the torus of 8x8 down to plaquettes.
constexpr char kHalving[] =
    "kernel = 1\ncontext = \"around\"\nmasks = ["
    "{ directions = [1], at = [0, 4], every = [8, 8], loop = [4, 8], half_around = true }, "
    "{ directions = [1], at = [2, 4], every = [4, 8], loop = [2, 8], half_around = true }, "
    "{ directions = [1], at = [1, 4], every = [2, 8], loop = [1, 8], half_around = true }, "
    "{ directions = [0], at = [0, 0], every = [1, 8], loop = [1, 4], half_around = true }, "
    "{ directions = [0], at = [0, 2], every = [1, 4], loop = [1, 2], half_around = true }, "
    "{ directions = [0], at = [0, 1], every = [1, 2], half_around = true }]\nmap = \"mixture\"";

// At beta = 5 a local algorithm hardly changes the charge any more.
TEST(ExactnessOfGaugeChains, FlowsThatHalveTheTorusAreExact) {
  expect_exact({"u1", 8, 3, kHalving, 2000, 100000, 6});
  expect_exact({"u1", 8, 5, kHalving, 4000, 100000, 6});
}

constexpr char kFewBins[] = "bins = 4", kIndependent[] = "autoregressive = false\nbins = 4";

TEST(ExactnessOfGaugeChains, Su2OnTheTorusIsExact) {
  expect_exact({"su2", 4, 1, kFewBins, 100, 100000});
  expect_exact({"su2", 4, 2.2, kFewBins, 200, 100000});
  expect_exact({"su2", 4, 4, kFewBins, 300, 100000});
  expect_exact({"su2", 8, 1, kFewBins, 100, 40000});
  expect_exact({"su2", 8, 1.6, kFewBins, 150, 40000});
  expect_exact({"su2", 8, 2.2, kFewBins, 250, 40000});
}

TEST(ExactnessOfGaugeChains, Su3OnTheTorusIsExact) {
  expect_exact({"su3", 4, 1, kIndependent, 50, 50000});
  expect_exact({"su3", 4, 3, kFewBins, 150, 50000});
  expect_exact({"su3", 4, 5, kFewBins, 250, 50000});
  expect_exact({"su3", 8, 1, kIndependent, 50, 20000});
  expect_exact({"su3", 8, 2, kFewBins, 100, 20000});
  expect_exact({"su3", 8, 3, kFewBins, 150, 20000});
}

// The same means from the heat bath of the links alone, each sweep with the weight |det D|^2 of two flavours: no flow,
// and nothing of the determinant's slopes, which HMC would need.
void expect_reweighted(const Case& own) {
  const GaugeRun made = trained(own);
  const History history = chain_of(made, own.count);
  const auto links_alone = make_reference(U1Gauge(made.run.theory), "heatbath", NoiseKey::from("reweighted"));
  const auto sums_of = theory_sums_function(made.theory);
  const auto observables = theory_observables(made.theory);
  constexpr std::size_t kSweeps = 60000;
  std::vector<double> weights;
  std::vector<std::vector<double>> weighted(observables.size());
  links_alone->thermalise(500);
  double typical = 0;  // log|det D|, so that weights are of order 1
  for (std::size_t sweep = 0; sweep < kSweeps; ++sweep) {
    links_alone->step();
    const std::vector<double> sums = sums_of(links_alone->field());
    if (sweep == 0) typical = sums.back();
    weights.push_back(std::exp(2 * (sums.back() - typical)));
    for (std::size_t k = 0; k < observables.size(); ++k) {
      weighted[k].push_back(weights.back() * observables[k].value(theory_log_p(made.theory, sums), sums));
    }
  }
  const auto ratio = [](std::span<const double> means) { return means[0] / means[1]; };
  for (std::size_t k = 0; k < observables.size(); ++k) {
    const std::string& name = observables[k].name;
    if (name != "plaquette" && name != "chi_q" && name != "log_det") continue;
    const auto estimate = stats::gamma_method(history.values[k]);
    const auto known = stats::gamma_method(std::vector<std::span<const double>>{weighted[k], weights}, ratio);
    EXPECT_TRUE(estimate.reliable && known.reliable) << name;
    const double sigma = (estimate.value - known.value) / std::hypot(estimate.error, known.error);
    EXPECT_LT(std::abs(sigma), 4) << name << " at kappa " << own.kappa;
    std::printf("schwinger beta %g kappa %g %-10s %.6f(%.6f), reweighted %.6f(%.6f): %+.2f sigma, tau_int %.2f\n",
                own.beta, own.kappa, name.c_str(), estimate.value, estimate.error, known.value, known.error, sigma,
                estimate.tau_int);
  }
  std::printf("schwinger kappa %g: ESS %.3f, acceptance %.3f\n", own.kappa, stats::ess(history.log_w),
              history.acceptance);
  EXPECT_GT(history.acceptance, 0.1) << "a chain that hardly moves proves nothing";
}

TEST(ExactnessOfGaugeChains, TheSchwingerModelIsItsGaugeTheoryReweightedByTheDeterminant) {
  expect_reweighted({"schwinger", 4, 1, kSpline, 200, 60000, 8, 0.2});
  expect_reweighted({"schwinger", 4, 1.5, kSpline, 1000, 100000, 8, 0.276});
}

}  // namespace
}  // namespace flowloom
