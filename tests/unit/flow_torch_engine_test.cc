#include <gtest/gtest.h>

#include <thread>

#include "flow/checkpoint.h"
#include "flow_engine_contract.h"

namespace flowloom {
namespace {

TEST(TorchEngine, SaysItsVersionAndInstructionSet) {
  EXPECT_EQ(torch().name(), "torch");
  EXPECT_TRUE(torch().build().starts_with("libtorch ")) << torch().build();
}

TEST(TorchEngine, FieldsAndLogQFollowTheDefinition) {
  expect_fields_and_log_q_follow_the_definition(torch(), {});
  expect_fields_and_log_q_follow_the_definition(torch(), {.lattice = {4, 6}, .layers = 3, .hidden = {2, 3}});
  expect_fields_and_log_q_follow_the_definition(torch(), {.lattice = {6}, .layers = 5, .hidden = {4}, .kernel = 5});
  expect_fields_and_log_q_follow_the_definition(torch(),
                                                {.lattice = {2, 4, 2}, .layers = 2, .hidden = {2}, .kernel = 1});
}

TEST(TorchEngine, WithoutHiddenLayersItIsOneConvolution) {
  expect_fields_and_log_q_follow_the_definition(torch(), {.layers = 2, .hidden = {}});
}

TEST(TorchEngine, EveryArchitectureFollowsItsDefinition) { expect_random_flows_follow_the_definition(torch()); }

TEST(TorchEngine, TheSymmetryIsExactToRounding) { expect_z2_is_exact(torch(), false); }

TEST(TorchEngine, WeightsGoToAnotherVolume) { expect_volume_transfer(torch()); }

TEST(TorchEngine, AFreeTheoryIsSampledExactlyByItsOwnPrior) { expect_the_free_field_is_exact(torch()); }

TEST(TorchEngine, LogPIsTheActionOfTheField) {
  expect_log_p_is_the_action_of_the_field(torch(), {.lattice = {4, 6}});
  expect_log_p_is_the_action_of_the_field(torch(), {.lattice = {4, 4, 4, 4}, .precision = Precision::kMixed});
}

TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQ) {
  expect_inverse_finds_the_draws_log_q(torch(), {.layers = 16, .hidden = {8, 8}}, 300);
  expect_inverse_finds_the_draws_log_q(torch(), {.layers = 16, .hidden = {8, 8}, .precision = Precision::kMixed}, 300);
  expect_inverse_finds_the_draws_log_q(torch(), {.lattice = {4, 4, 4, 4}, .precision = Precision::kMixed}, 5);
}

TEST(ExactnessRule7, FrozenSitesPassUnchanged) {
  expect_frozen_sites_pass_unchanged(torch(), {4, 4});
  expect_frozen_sites_pass_unchanged(torch(), {4, 4, 6});
}

TEST(TorchEngine, NoNetworkSeesAnActiveVariable) {
  expect_no_network_sees_an_active_variable(torch(), {4, 4});
  expect_no_network_sees_an_active_variable(torch(), {4, 4, 4});
}

TEST(TorchEngine, NanWeightsGiveNanLogQ) {
  expect_nan_weights_give_nan_log_q(torch(), Precision::kFloat64);
  expect_nan_weights_give_nan_log_q(torch(), Precision::kMixed);
}

TEST(TorchEngine, NothingIsDrawnForACountOfZero) {
  const FlowParts parts{FlowCase{}};
  EXPECT_TRUE(parts.model(torch())->draw(kTestKey, Purpose::kBase, 0, 0).fields.empty());
  EXPECT_TRUE(parts.model(torch())->densities({}).log_q.empty());
}

TEST(ExactnessRule7, AgreesWithTheLaneEngineInAnyDimension) {
  const std::vector<FlowCase> cases = {
      {.lattice = {8}, .layers = 7, .hidden = {3, 5}},
      {.lattice = {4, 8}, .layers = 6, .hidden = {5}},
      {.lattice = {8, 8}, .layers = 16, .hidden = {8, 8}},
      {.lattice = {6, 4}, .layers = 3, .hidden = {4, 2, 3}, .kernel = 1},
      {.lattice = {6, 8}, .layers = 4, .hidden = {}, .kernel = 5},
      {.lattice = {4, 6, 4}, .layers = 5, .hidden = {3, 3}},
      {.lattice = {4, 4, 4, 4}, .layers = 4, .hidden = {2, 4}},
      {.lattice = {2, 2}, .layers = 2, .hidden = {1}, .kernel = 1},
  };
  for (FlowCase flow_case : cases) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      flow_case.precision = precision;
      const FlowParts parts(flow_case, "case of " + std::to_string(flow_case.layers) + " layers");
      const Draws a = parts.model(torch())->draw(kTestKey, Purpose::kBase, 0, 33);
      const Draws b = parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 0, 33);
      for (std::size_t i = 0; i < 33; ++i) {
        ASSERT_NEAR(a.log_p[i] - a.log_q[i], b.log_p[i] - b.log_q[i], log_weight_tolerance(precision, b.log_p[i]))
            << to_string(precision) << ", lattice " << nlohmann::json(flow_case.lattice).dump() << ", draw " << i;
      }
    }
  }
}

// The references that a version carries are float64's; a worker in mixed precision must find them on a large lattice too.
TEST(ExactnessRule7, MixedPrecisionReproducesTheReferencesOfALargeVolume) {
  for (const std::vector<std::int64_t>& lattice : {std::vector<std::int64_t>{48, 48}, {8, 8, 8}}) {
    const RunSpec run =
        FlowCase{.lattice = lattice, .layers = 16, .hidden = {8, 8}, .precision = Precision::kMixed}.run();
    const AffineCouplingFlow architecture = architecture_of(run);
    std::vector<double> weights = architecture.initial_weights(kTestKey);
    for (double& weight : weights) weight = static_cast<double>(static_cast<float>(weight));
    Checkpoint checkpoint{run.theory, run.flow, Precision::kMixed, 0, weights, {}};
    add_references(checkpoint, torch());
    EXPECT_NO_THROW(verify_references(checkpoint, lane_engine(), "large"));
  }
}

// max over sites of |a - b| relative to the largest variable of the sample.
double relative_gap(const std::vector<double>& a, const std::vector<double>& b) {
  double gap = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    gap = std::max(gap, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(a[i]));
  }
  return gap / largest;
}

// One layer with every prior, activation and symmetry, there and back, and whole flows.
TEST(ExactnessRule7, TheLaneEngineIsLibTorchsInEveryArchitecture) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const int layers : {1, flow_case.layers}) {
      for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
        SCOPED_TRACE("random flow " + std::to_string(number) + ", " + to_string(precision) + ", layers " +
                     std::to_string(layers) + "\n" + flow_case.flow);
        flow_case.layers = layers;
        flow_case.precision = precision;
        const FlowParts parts(flow_case);
        const auto reference = parts.model(torch()), lanes = parts.model(lane_engine());
        const Draws a = reference->draw(kTestKey, Purpose::kBase, 0, 20),
                    b = lanes->draw(kTestKey, Purpose::kBase, 0, 20);
        const Densities inverse_a = reference->densities(a.fields), inverse_b = lanes->densities(a.fields);
        const double single = precision == Precision::kMixed ? 1e-5 : 1e-12;
        const double whole = precision == Precision::kMixed ? 1e-3 : 1e-9;
        EXPECT_LE(relative_gap(a.fields, b.fields), layers == 1 ? single : 10 * single);
        EXPECT_LE(relative_gap(a.sums, b.sums), layers == 1 ? single : 10 * single);
        for (std::size_t i = 0; i < 20; ++i) {
          const double scale = layers == 1 ? single / whole * (1 + std::abs(a.log_q[i])) : 1;
          EXPECT_NEAR(a.log_p[i] - a.log_q[i], b.log_p[i] - b.log_q[i], whole);
          EXPECT_NEAR(a.log_q[i], b.log_q[i], whole * scale);
          EXPECT_NEAR(inverse_a.log_q[i], inverse_b.log_q[i], whole * scale);
          EXPECT_NEAR(inverse_a.log_p[i], inverse_b.log_p[i], 1e-12 * (1 + std::abs(a.log_p[i])));
          EXPECT_LE(inverse_b.round_trip[i], 1e-12);
        }
        if (HasFailure()) return;
      }
    }
  }
}

TEST(TorchEngine, EqualCallsGiveEqualBitsInAnyOrderAndThread) {
  const FlowParts parts({.lattice = {8, 8}, .layers = 8, .hidden = {8, 8}, .precision = Precision::kMixed});
  const auto model = parts.model(torch());
  const Draws first = model->draw(kTestKey, Purpose::kBase, 0, 300);
  const Draws second = model->draw(kTestKey, Purpose::kBase, 300, 300);
  Draws first_again, second_again;
  std::thread one([&] { first_again = model->draw(kTestKey, Purpose::kBase, 0, 300); });
  std::thread two([&] { second_again = parts.model(torch())->draw(kTestKey, Purpose::kBase, 300, 300); });
  one.join();
  two.join();
  expect_equal_bits(first, first_again);
  expect_equal_bits(second, second_again);
}

// sum over samples of log_q + S under `weights`, by drawing.
double loss(const FlowParts& parts, const std::vector<double>& weights, std::uint64_t first, std::size_t count) {
  const Draws draws = torch()
                          .model(parts.theory, parts.architecture, weights, parts.precision)
                          ->draw(kTestKey, Purpose::kTrain, first, count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += draws.log_q[i] - draws.log_p[i];
  return sum;
}

std::unique_ptr<Objective> objective_of(const FlowParts& parts) {
  return torch().objective(parts.theory, parts.architecture, parts.precision);
}

Gradient reverse_kl(const FlowParts& parts, std::uint64_t first, std::size_t count,
                    Estimator estimator = Estimator::kReparameterised) {
  return objective_of(parts)->reverse_kl(estimator, parts.weights, kTestKey, first, count);
}

// a = b + c, each up to rounding of the largest.
void expect_sum(const std::vector<double>& a, const std::vector<double>& b, const std::vector<double>& c,
                double tolerance) {
  double largest = 1;
  for (const double value : a) largest = std::max(largest, std::abs(value));
  for (std::size_t k = 0; k < a.size(); ++k) ASSERT_NEAR(a[k], b[k] + c[k], tolerance * largest) << "weight " << k;
}

TEST(TorchObjective, TheGradientIsTheLosssSlope) {
  constexpr double kStep = 1e-5;
  for (const FlowCase& flow_case :
       {FlowCase{.layers = 3, .hidden = {2}}, FlowCase{.lattice = {4, 4, 4}, .layers = 2, .hidden = {1}},
        FlowCase{.layers = 2,
        .hidden = {2},
        .flow = "prior = \"free-field\"\nrescale = true\nsymmetry = \"z2\"\n"
                "activation = \"silu\""}}) {
    const FlowParts parts(flow_case);
    const Gradient gradient = reverse_kl(parts, 3, 4);
    ASSERT_EQ(gradient.sum.size(), parts.weights.size());
    for (std::size_t k = 0; k < parts.weights.size(); ++k) {
      auto above = parts.weights, below = parts.weights;
      above[k] += kStep;
      below[k] -= kStep;
      const double slope = (loss(parts, above, 3, 4) - loss(parts, below, 3, 4)) / (2 * kStep);
      EXPECT_NEAR(gradient.sum[k], slope, 1e-6 * (1 + std::abs(slope))) << "weight " << k;
    }
  }
}

// The path gradient in one pass is the one by the inverse, for every architecture; and what the reparameterised one has
// besides is d(log_q)/dw at a fixed field, which the forward divergence has with the other sign.
TEST(TorchObjective, ThePathGradientIsTheSameInOnePassAndByTheInverseAndDiffersByTheScore) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    SCOPED_TRACE("random flow " + std::to_string(number));
    const FlowParts parts(random_flow(number));
    const Gradient path = reverse_kl(parts, 7, 6, Estimator::kPath);
    const Gradient two_pass = reverse_kl(parts, 7, 6, Estimator::kPathTwoPass);
    const Gradient all = reverse_kl(parts, 7, 6);
    const Draws draws = parts.model(torch())->draw(kTestKey, Purpose::kTrain, 7, 6);
    const Gradient forward = objective_of(parts)->forward_kl(parts.weights, draws.fields);
    expect_sum(path.sum, two_pass.sum, std::vector<double>(path.sum.size()), 1e-10);
    std::vector<double> score = forward.sum;
    for (double& value : score) value = -value;
    expect_sum(all.sum, path.sum, score, 1e-10);
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(path.log_w[i], all.log_w[i], 1e-10);
      EXPECT_NEAR(two_pass.log_w[i], all.log_w[i], 1e-10);
      EXPECT_NEAR(forward.log_w[i], all.log_w[i], 1e-10);
    }
    if (HasFailure()) return;
  }
}

TEST(TorchObjective, ThePathGradientInMixedPrecisionIsNearFloat64s) {
  FlowCase flow_case{.hidden = {4, 4}, .precision = Precision::kMixed};
  const Gradient mixed = reverse_kl(FlowParts(flow_case), 0, 64, Estimator::kPath);
  flow_case.precision = Precision::kFloat64;
  const Gradient exact = reverse_kl(FlowParts(flow_case), 0, 64, Estimator::kPath);
  expect_sum(exact.sum, mixed.sum, std::vector<double>(mixed.sum.size()), 1e-5);
}

// Where q = p the path gradient of every sample vanishes; the reparameterised one is noise.
TEST(TorchObjective, ThePathGradientVanishesWhereTheFlowIsTheTarget) {
  const RunSpec run = free_theory({8, 6});
  const AffineCouplingFlow architecture = architecture_of(run);
  std::vector<double> weights = architecture.initial_weights(kTestKey);
  weights[0] = std::log(1.25);
  const auto objective = torch().objective(theory_of(run), architecture, Precision::kFloat64);
  const auto norm = [&](Estimator estimator) {
    double square = 0;
    for (const double slope : objective->reverse_kl(estimator, weights, kTestKey, 0, 16).sum) square += slope * slope;
    return std::sqrt(square / 16);
  };
  EXPECT_LT(norm(Estimator::kPath), 1e-12);
  EXPECT_LT(norm(Estimator::kPathTwoPass), 1e-12);
  EXPECT_GT(norm(Estimator::kReparameterised), 1);
}

TEST(TorchObjective, TheForwardGradientIsTheSlopeOfMinusLogQ) {
  constexpr double kStep = 1e-5;
  const FlowParts parts({.layers = 3, .hidden = {2}, .flow = "prior = \"free-field\"\nrescale = true"});
  const std::vector<double> fields = noise_at(4, 3 * parts.volume());
  const Gradient gradient = objective_of(parts)->forward_kl(parts.weights, fields);
  for (std::size_t k = 0; k < parts.weights.size(); ++k) {
    const auto minus_log_q = [&](double step) {
      FlowParts moved = parts;
      moved.weights[k] += step;
      double sum = 0;
      for (const double log_q : moved.model(torch())->densities(fields).log_q) sum -= log_q;
      return sum;
    };
    const double slope = (minus_log_q(kStep) - minus_log_q(-kStep)) / (2 * kStep);
    EXPECT_NEAR(gradient.sum[k], slope, 1e-6 * (1 + std::abs(slope))) << "weight " << k;
  }
}

TEST(TorchObjective, TheGradientIsASumOverSamples) {
  const FlowParts parts{FlowCase{}};
  const Gradient all = reverse_kl(parts, 10, 300);
  const Gradient head = reverse_kl(parts, 10, 100);
  const Gradient tail = reverse_kl(parts, 110, 200);
  for (std::size_t k = 0; k < all.sum.size(); ++k) {
    EXPECT_NEAR(all.sum[k], head.sum[k] + tail.sum[k], 1e-9 * (1 + std::abs(all.sum[k])));
  }
}

TEST(TorchObjective, LogWIsTheModelsOwn) {
  const FlowParts parts{FlowCase{}};
  const Gradient gradient = reverse_kl(parts, 8, 20);
  const Draws draws = parts.model(torch())->draw(kTestKey, Purpose::kTrain, 8, 20);
  ASSERT_EQ(gradient.log_w.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(gradient.log_w[i], draws.log_p[i] - draws.log_q[i], 1e-10);
}

TEST(TorchObjective, MixedPrecisionsGradientIsNearFloat64s) {
  const FlowParts parts{FlowCase{}};
  const auto sum = [&](Precision precision) {
    return torch()
        .objective(parts.theory, parts.architecture, precision)
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

TEST(TorchObjective, TwoThreadsAtOnceGetTheSameBitsAsOneAfterTheOther) {
  const FlowParts parts({.lattice = {8, 8}, .layers = 8, .hidden = {8, 8}, .precision = Precision::kMixed});
  const auto objective = torch().objective(parts.theory, parts.architecture, parts.precision);
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

TEST(TorchObjective, NanWeightsGiveNanLogW) {
  FlowParts parts{FlowCase{}};
  std::fill(parts.weights.begin(), parts.weights.end(), std::nan(""));
  const Gradient gradient = reverse_kl(parts, 0, 2);
  EXPECT_TRUE(std::isnan(gradient.log_w[0]));
  EXPECT_TRUE(std::isnan(gradient.sum[0]));
}

}  // namespace
}  // namespace flowloom
