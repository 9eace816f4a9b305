// What every engine that trains must do, as checks that the tests of each engine call.
#pragma once

#include <thread>

#include "flow/lanes/instruction_set.h"
#include "flow/lanes/lanes_engine.h"
#include "flow_engine_contract.h"

namespace flowloom {

// sum over samples of log_q + S under `weights`, by drawing.
inline double loss(const Engine& engine, const auto& parts, const std::vector<double>& weights, std::uint64_t first,
                   std::size_t count) {
  const Draws draws = engine.model(parts.theory, parts.architecture, weights, parts.precision)
                          ->draw(kTestKey, Purpose::kTrain, first, count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += draws.log_q[i] - draws.log_p[i];
  return sum;
}

inline std::unique_ptr<Objective> objective_of(const Engine& engine, const auto& parts) {
  return engine.objective(parts.theory, parts.architecture, parts.precision);
}

inline Gradient reverse_kl(const Engine& engine, const auto& parts, std::uint64_t first, std::size_t count,
                           Estimator estimator = Estimator::kReparameterised) {
  return objective_of(engine, parts)->reverse_kl(estimator, parts.weights, kTestKey, first, count);
}

// a = b + c, each up to rounding of the largest.
inline void expect_sum(const std::vector<double>& a, const std::vector<double>& b, const std::vector<double>& c,
                       double tolerance) {
  double largest = 1;
  for (const double value : a) largest = std::max(largest, std::abs(value));
  for (std::size_t k = 0; k < a.size(); ++k) ASSERT_NEAR(a[k], b[k] + c[k], tolerance * largest) << "weight " << k;
}

inline void expect_the_gradient_is_the_losss_slope(const Engine& engine, const auto& parts) {
  constexpr double kStep = 1e-5;
  const Gradient gradient = reverse_kl(engine, parts, 3, 4);
  ASSERT_EQ(gradient.sum.size(), parts.weights.size());
  for (std::size_t k = 0; k < parts.weights.size(); ++k) {
    auto above = parts.weights, below = parts.weights;
    above[k] += kStep;
    below[k] -= kStep;
    const double slope = (loss(engine, parts, above, 3, 4) - loss(engine, parts, below, 3, 4)) / (2 * kStep);
    EXPECT_NEAR(gradient.sum[k], slope, 1e-6 * (1 + std::abs(slope))) << "weight " << k;
  }
}

inline void expect_the_gradient_is_the_losss_slope(const Engine& engine) {
  for (const FlowCase& flow_case :
       {FlowCase{.layers = 3, .hidden = {2}}, FlowCase{.lattice = {4, 4, 4}, .layers = 2, .hidden = {1}},
        FlowCase{.layers = 2,
                 .hidden = {2},
                 .flow = "prior = \"free-field\"\nrescale = true\nsymmetry = \"z2\"\n"
                         "activation = \"silu\""}}) {
    expect_the_gradient_is_the_losss_slope(engine, FlowParts(flow_case));
  }
}

// The path gradient in one pass is the one by the inverse, for every architecture; and what the reparameterised one has
// besides is d(log_q)/dw at a fixed field, which the forward divergence has with the other sign.
inline void expect_the_path_gradient_differs_by_the_score(const Engine& engine, const auto& parts) {
  const Gradient path = reverse_kl(engine, parts, 7, 6, Estimator::kPath);
  const Gradient two_pass = reverse_kl(engine, parts, 7, 6, Estimator::kPathTwoPass);
  const Gradient all = reverse_kl(engine, parts, 7, 6);
  const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kTrain, 7, 6);
  const Gradient forward = objective_of(engine, parts)->forward_kl(parts.weights, draws.fields);
  expect_sum(path.sum, two_pass.sum, std::vector<double>(path.sum.size()), 1e-10);
  std::vector<double> score = forward.sum;
  for (double& value : score) value = -value;
  expect_sum(all.sum, path.sum, score, 1e-10);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(path.log_w[i], all.log_w[i], 1e-10);
    EXPECT_NEAR(two_pass.log_w[i], all.log_w[i], 1e-10);
    EXPECT_NEAR(forward.log_w[i], all.log_w[i], 1e-10);
  }
}
inline void expect_the_path_gradient_differs_by_the_score(const Engine& engine) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    SCOPED_TRACE("random flow " + std::to_string(number));
    expect_the_path_gradient_differs_by_the_score(engine, FlowParts(random_flow(number)));
    if (testing::Test::HasFailure()) return;
  }
}

inline void expect_the_mixed_path_gradient_is_near_float64s(const Engine& engine) {
  FlowCase flow_case{.hidden = {4, 4}, .precision = Precision::kMixed};
  const Gradient mixed = reverse_kl(engine, FlowParts(flow_case), 0, 64, Estimator::kPath);
  flow_case.precision = Precision::kFloat64;
  const Gradient exact = reverse_kl(engine, FlowParts(flow_case), 0, 64, Estimator::kPath);
  expect_sum(exact.sum, mixed.sum, std::vector<double>(mixed.sum.size()), 1e-5);
}

// Where q = p the path gradient of every sample vanishes; the reparameterised one is noise.
inline void expect_the_path_gradient_vanishes_at_the_target(const Engine& engine) {
  const RunSpec run = free_theory({8, 6});
  const AnyFlow architecture = architecture_of(run);
  std::vector<double> weights = architecture->initial_weights(kTestKey);
  weights[0] = std::log(1.25);
  const auto objective = engine.objective(theory_of(run), architecture, Precision::kFloat64);
  const auto norm = [&](Estimator estimator) {
    double square = 0;
    for (const double slope : objective->reverse_kl(estimator, weights, kTestKey, 0, 16).sum) square += slope * slope;
    return std::sqrt(square / 16);
  };
  EXPECT_LT(norm(Estimator::kPath), 1e-12);
  EXPECT_LT(norm(Estimator::kPathTwoPass), 1e-12);
  EXPECT_GT(norm(Estimator::kReparameterised), 1);
}

inline void expect_the_forward_gradient_is_the_slope_of_minus_log_q(const Engine& engine) {
  constexpr double kStep = 1e-5;
  const FlowParts parts({.layers = 3, .hidden = {2}, .flow = "prior = \"free-field\"\nrescale = true"});
  const std::vector<double> fields = noise_at(4, 3 * parts.volume());
  const Gradient gradient = objective_of(engine, parts)->forward_kl(parts.weights, fields);
  for (std::size_t k = 0; k < parts.weights.size(); ++k) {
    const auto minus_log_q = [&](double step) {
      FlowParts moved = parts;
      moved.weights[k] += step;
      double sum = 0;
      for (const double log_q : moved.model(engine)->densities(fields).log_q) sum -= log_q;
      return sum;
    };
    const double slope = (minus_log_q(kStep) - minus_log_q(-kStep)) / (2 * kStep);
    EXPECT_NEAR(gradient.sum[k], slope, 1e-6 * (1 + std::abs(slope))) << "weight " << k;
  }
}

inline void expect_the_gradient_is_a_sum_over_samples(const Engine& engine) {
  const FlowParts parts{FlowCase{}};
  const Gradient all = reverse_kl(engine, parts, 10, 300);
  const Gradient head = reverse_kl(engine, parts, 10, 100);
  const Gradient tail = reverse_kl(engine, parts, 110, 200);
  for (std::size_t k = 0; k < all.sum.size(); ++k) {
    EXPECT_NEAR(all.sum[k], head.sum[k] + tail.sum[k], 1e-9 * (1 + std::abs(all.sum[k])));
  }
}

inline void expect_log_w_is_the_models_own(const Engine& engine) {
  const FlowParts parts{FlowCase{}};
  const Gradient gradient = reverse_kl(engine, parts, 8, 20);
  const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kTrain, 8, 20);
  ASSERT_EQ(gradient.log_w.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(gradient.log_w[i], draws.log_p[i] - draws.log_q[i], 1e-10);
}

inline void expect_the_mixed_gradient_is_near_float64s(const Engine& engine) {
  const FlowParts parts{FlowCase{}};
  const auto sum = [&](Precision precision) {
    return engine.objective(parts.theory, parts.architecture, precision)
        ->reverse_kl(Estimator::kReparameterised, parts.weights, kTestKey, 0, 64)
        .sum;
  };
  const auto mixed = sum(Precision::kMixed), exact = sum(Precision::kFloat64);
  double gap = 0, norm = 0;
  for (std::size_t k = 0; k < exact.size(); ++k) {
    gap += (mixed[k] - exact[k]) * (mixed[k] - exact[k]);
    norm += exact[k] * exact[k];
  }
  EXPECT_LT(std::sqrt(gap / norm), 1e-5);
  EXPECT_GT(gap, 0);
}

inline void expect_threads_get_the_same_gradient(const Engine& engine) {
  const FlowParts parts({.lattice = {8, 8}, .layers = 8, .hidden = {8, 8}, .precision = Precision::kMixed});
  const auto objective = engine.objective(parts.theory, parts.architecture, parts.precision);
  const auto gradient = [&](std::uint64_t first) {
    return objective->reverse_kl(Estimator::kPath, parts.weights, kTestKey, first, 128);
  };
  const Gradient first = gradient(0);
  const Gradient second = gradient(128);
  for (int repeat = 0; repeat < 3; ++repeat) {
    Gradient first_again, second_again;
    std::thread one([&] { first_again = gradient(0); });
    std::thread two([&] { second_again = gradient(128); });
    one.join();
    two.join();
    EXPECT_EQ(first.sum, first_again.sum);
    EXPECT_EQ(first.log_w, first_again.log_w);
    EXPECT_EQ(second.sum, second_again.sum);
    EXPECT_EQ(second.log_w, second_again.log_w);
  }
}

inline void expect_nan_weights_give_nan_gradients(const Engine& engine) {
  FlowParts parts{FlowCase{}};
  std::fill(parts.weights.begin(), parts.weights.end(), std::nan(""));
  const Gradient gradient = reverse_kl(engine, parts, 0, 2);
  EXPECT_TRUE(std::isnan(gradient.log_w[0]));
  EXPECT_TRUE(std::isnan(gradient.sum[0]));
}

// What holds for fields of any kind. Parts: of a case, as the engines take it.

// The sums and log_p of draw i of 5 are the theory's own.
template <class Parts>
void expect_the_theorys_numbers(const Parts& parts, const Draws& draws, std::size_t i) {
  const auto field = std::span(draws.fields).subspan(i * parts.variables(), parts.variables());
  const std::vector<double> sums = theory_sums_of(parts.theory, field);
  for (std::size_t k = 0; k < sums.size(); ++k) EXPECT_NEAR(draws.sums[k * 5 + i], sums[k], 1e-11) << k;
  EXPECT_NEAR(draws.log_p[i], theory_log_p(parts.theory, sums), 1e-11);
}

template <class Parts, class Case>
void expect_the_inverse_finds_the_draws_log_q(const Engine& engine, std::vector<Case> cases, double round_trip) {
  for (Case& own : cases) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      own.precision = precision;
      const auto model = Parts(own).model(engine);
      const Draws draws = model->draw(kTestKey, Purpose::kBase, 0, 21);
      const Densities densities = model->densities(draws.fields);
      for (std::size_t i = 0; i < 21; ++i) {
        EXPECT_NEAR(densities.log_p[i], draws.log_p[i], 1e-11);
        EXPECT_NEAR(densities.log_q[i], draws.log_q[i], 1e-10);
        EXPECT_LT(densities.round_trip[i], round_trip);
      }
    }
  }
}

// The lane engine on each of this machine's instruction sets, the portable one last.
inline std::vector<std::shared_ptr<const Engine>> every_lane_engine() {
  std::vector<std::shared_ptr<const Engine>> engines;
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) engines.push_back(lanes_engine(set));
  return engines;
}

template <class Parts, class Case>
void expect_every_engine_gives_the_same_bits(const std::vector<std::shared_ptr<const Engine>>& engines,
                                             std::vector<Case> cases) {
  for (Case& own : cases) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      own.precision = precision;
      const Parts parts(own);
      const auto draw = [&](const Engine& engine) { return parts.model(engine)->draw(kTestKey, Purpose::kBase, 7, 3); };
      const Draws draws = draw(*engines.back());
      const Densities densities = parts.model(*engines.back())->densities(draws.fields);
      const Gradient gradient = reverse_kl(*engines.back(), parts, 3, 18, Estimator::kPath);
      for (const auto& engine : engines) {
        SCOPED_TRACE(engine->device());
        expect_equal_bits(draw(*engine), draws);
        expect_equal_bits(parts.model(*engine)->densities(draws.fields), densities);
        expect_equal_bits(reverse_kl(*engine, parts, 3, 18, Estimator::kPath), gradient);
      }
    }
  }
}

template <class Parts>
void expect_a_samples_bits_do_not_depend_on_its_place(const Engine& engine, const Parts& parts) {
  const auto model = parts.model(engine);
  const Draws all = model->draw(kTestKey, Purpose::kBase, 0, 40);
  for (const std::size_t i : {0u, 7u, 15u, 16u, 39u}) {
    const Draws one = model->draw(kTestKey, Purpose::kBase, i, 1);
    EXPECT_EQ(bits(one.log_q[0]), bits(all.log_q[i]));
    EXPECT_EQ(bits(one.log_p[0]), bits(all.log_p[i]));
  }
}

}  // namespace flowloom
