#include <gtest/gtest.h>

#include <thread>

#include "flow/checkpoint.h"
#include "flow_objective_contract.h"

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

TEST(TorchEngine, HasGelu) {
  expect_fields_and_log_q_follow_the_definition(torch(), {.hidden = {3}, .flow = "activation = \"gelu\""});
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

// The references that a version carries are float64's; a worker in mixed precision must find them on a large lattice
// too.
TEST(ExactnessRule7, MixedPrecisionReproducesTheReferencesOfALargeVolume) {
  for (const std::vector<std::int64_t>& lattice : {std::vector<std::int64_t>{48, 48}, {8, 8, 8}}) {
    const RunSpec run =
        FlowCase{.lattice = lattice, .layers = 16, .hidden = {8, 8}, .precision = Precision::kMixed}.run();
    const AnyFlow architecture = architecture_of(run);
    std::vector<double> weights = architecture->initial_weights(kTestKey);
    for (double& weight : weights) weight = static_cast<double>(static_cast<float>(weight));
    Checkpoint checkpoint{run.theory, run.flow, Precision::kMixed, 0, weights, {}};
    add_references(checkpoint, torch());
    EXPECT_NO_THROW(verify_references(checkpoint, lane_engine(), "large"));
  }
}

// Also before any training, where draws lie far from where the action is small.
TEST(ExactnessRule7, EveryEngineReproducesTheReferencesOfUntrainedFlows) {
  const std::vector<FlowCase> cases = {
      {.lattice = {8, 8}, .layers = 16, .hidden = {8}, .lambda = 8, .flow = "activation = \"silu\""},
      {.lattice = {8, 8}, .layers = 16, .hidden = {8, 8}, .lambda = 8},
      {.lattice = {6, 10}, .layers = 4, .hidden = {16, 4}, .lambda = 8, .flow = "prior = \"free-field\""},
      {.lattice = {4, 4, 4, 4}, .layers = 8, .hidden = {16}, .lambda = 8, .flow = "activation = \"tanh\""},
  };
  for (FlowCase flow_case : cases) {
    for (int seed = 0; seed < 15; ++seed) {
      flow_case.precision = Precision::kMixed;
      const FlowParts parts(flow_case, "seed " + std::to_string(seed));
      std::vector<double> weights = parts.weights;
      for (double& weight : weights) weight = static_cast<double>(static_cast<float>(weight));
      const RunSpec run = flow_case.run();
      Checkpoint checkpoint{run.theory, run.flow, Precision::kMixed, 0, weights, {}};
      add_references(checkpoint, torch());
      EXPECT_NO_THROW(verify_references(checkpoint, lane_engine(), "untrained"));
      EXPECT_NO_THROW(verify_references(checkpoint, torch(), "untrained"));
    }
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

TEST(TorchObjective, TheGradientIsTheLosssSlope) { expect_the_gradient_is_the_losss_slope(torch()); }

TEST(TorchObjective, ThePathGradientIsTheSameInOnePassAndByTheInverseAndDiffersByTheScore) {
  expect_the_path_gradient_differs_by_the_score(torch());
}

TEST(TorchObjective, ThePathGradientInMixedPrecisionIsNearFloat64s) {
  expect_the_mixed_path_gradient_is_near_float64s(torch());
}

TEST(TorchObjective, ThePathGradientVanishesWhereTheFlowIsTheTarget) {
  expect_the_path_gradient_vanishes_at_the_target(torch());
}

TEST(TorchObjective, TheForwardGradientIsTheSlopeOfMinusLogQ) {
  expect_the_forward_gradient_is_the_slope_of_minus_log_q(torch());
}

TEST(TorchObjective, TheGradientIsASumOverSamples) { expect_the_gradient_is_a_sum_over_samples(torch()); }

TEST(TorchObjective, LogWIsTheModelsOwn) { expect_log_w_is_the_models_own(torch()); }

TEST(TorchObjective, MixedPrecisionsGradientIsNearFloat64s) { expect_the_mixed_gradient_is_near_float64s(torch()); }

TEST(TorchObjective, TwoThreadsAtOnceGetTheSameBitsAsOneAfterTheOther) {
  expect_threads_get_the_same_gradient(torch());
}

TEST(TorchObjective, NanWeightsGiveNanLogW) { expect_nan_weights_give_nan_gradients(torch()); }

// Relative to the largest slope of the architecture.
void expect_near_gradients(const Gradient& a, const Gradient& b, Precision precision) {
  expect_sum(a.sum, b.sum, std::vector<double>(a.sum.size()), precision == Precision::kMixed ? 1e-5 : 1e-10);
  for (std::size_t i = 0; i < a.log_w.size(); ++i) {
    EXPECT_NEAR(a.log_w[i], b.log_w[i], precision == Precision::kMixed ? 1e-3 : 1e-9);
  }
}

TEST(TorchObjective, TheLaneEnginesGradientsAreItsOwn) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      FlowCase flow_case = random_flow(number);
      flow_case.precision = precision;
      SCOPED_TRACE("random flow " + std::to_string(number) + ", " + to_string(precision) + "\n" + flow_case.flow);
      const FlowParts parts(flow_case);
      for (const Estimator estimator : {Estimator::kReparameterised, Estimator::kPath, Estimator::kPathTwoPass}) {
        expect_near_gradients(reverse_kl(torch(), parts, 7, 21, estimator),
                              reverse_kl(lane_engine(), parts, 7, 21, estimator), precision);
      }
      const std::vector<double> fields = parts.model(torch())->draw(kTestKey, Purpose::kBase, 0, 21).fields;
      expect_near_gradients(objective_of(torch(), parts)->forward_kl(parts.weights, fields),
                            objective_of(lane_engine(), parts)->forward_kl(parts.weights, fields), precision);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace flowloom
