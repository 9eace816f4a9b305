#include <gtest/gtest.h>

#include <thread>

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

TEST(ExactnessRule7, AgreesWithTheScalarEngineInAnyDimension) {
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
      const Draws b = parts.model(scalar())->draw(kTestKey, Purpose::kBase, 0, 33);
      for (std::size_t i = 0; i < 33; ++i) {
        ASSERT_NEAR(a.log_p[i] - a.log_q[i], b.log_p[i] - b.log_q[i], log_weight_tolerance(precision))
            << to_string(precision) << ", lattice " << nlohmann::json(flow_case.lattice).dump() << ", draw " << i;
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

TEST(TorchObjective, TheGradientIsTheLosssSlope) {
  constexpr double kStep = 1e-5;
  for (const FlowCase& flow_case :
       {FlowCase{.layers = 3, .hidden = {2}}, FlowCase{.lattice = {4, 4, 4}, .layers = 2, .hidden = {1}}}) {
    const FlowParts parts(flow_case);
    const auto objective = torch().objective(parts.theory, parts.architecture, parts.precision);
    const Gradient gradient = objective->reverse_kl(parts.weights, kTestKey, 3, 4);
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

TEST(TorchObjective, TheGradientIsASumOverSamples) {
  const FlowParts parts{FlowCase{}};
  const auto objective = torch().objective(parts.theory, parts.architecture, parts.precision);
  const Gradient all = objective->reverse_kl(parts.weights, kTestKey, 10, 300);
  const Gradient head = objective->reverse_kl(parts.weights, kTestKey, 10, 100);
  const Gradient tail = objective->reverse_kl(parts.weights, kTestKey, 110, 200);
  for (std::size_t k = 0; k < all.sum.size(); ++k) {
    EXPECT_NEAR(all.sum[k], head.sum[k] + tail.sum[k], 1e-9 * (1 + std::abs(all.sum[k])));
  }
}

TEST(TorchObjective, LogWIsTheModelsOwn) {
  const FlowParts parts{FlowCase{}};
  const Gradient gradient =
      torch().objective(parts.theory, parts.architecture, parts.precision)->reverse_kl(parts.weights, kTestKey, 8, 20);
  const Draws draws = parts.model(torch())->draw(kTestKey, Purpose::kTrain, 8, 20);
  ASSERT_EQ(gradient.log_w.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(gradient.log_w[i], draws.log_p[i] - draws.log_q[i], 1e-10);
}

TEST(TorchObjective, MixedPrecisionsGradientIsNearFloat64s) {
  const FlowParts parts{FlowCase{}};
  const auto sum = [&](Precision precision) {
    return torch()
        .objective(parts.theory, parts.architecture, precision)
        ->reverse_kl(parts.weights, kTestKey, 0, 64)
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
  const Gradient first = objective->reverse_kl(parts.weights, kTestKey, 0, 128);
  const Gradient second = objective->reverse_kl(parts.weights, kTestKey, 128, 128);
  for (int repeat = 0; repeat < 3; ++repeat) {
    Gradient first_again, second_again;
    std::thread one([&] { first_again = objective->reverse_kl(parts.weights, kTestKey, 0, 128); });
    std::thread two([&] { second_again = objective->reverse_kl(parts.weights, kTestKey, 128, 128); });
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
  const Gradient gradient =
      torch().objective(parts.theory, parts.architecture, parts.precision)->reverse_kl(parts.weights, kTestKey, 0, 2);
  EXPECT_TRUE(std::isnan(gradient.log_w[0]));
  EXPECT_TRUE(std::isnan(gradient.sum[0]));
}

}  // namespace
}  // namespace flowloom
