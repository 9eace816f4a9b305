#include <gtest/gtest.h>

#include <thread>

#include "flow_engine_contract.h"

namespace flowloom {
namespace {

TEST(LaneEngine, FieldsAndLogQFollowTheDefinition) {
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {});
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {.lattice = {4, 6}, .layers = 3, .hidden = {2, 3}});
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {.lattice = {6}, .layers = 5, .hidden = {4}, .kernel = 5});
  expect_fields_and_log_q_follow_the_definition(lane_engine(),
                                                {.lattice = {2, 4, 2}, .layers = 2, .hidden = {2}, .kernel = 1});
}

TEST(LaneEngine, WithoutHiddenLayersItIsOneConvolution) {
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {.layers = 2, .hidden = {}});
}

TEST(LaneEngine, EveryArchitectureFollowsItsDefinition) { expect_random_flows_follow_the_definition(lane_engine()); }

TEST(LaneEngine, TheSymmetryIsExact) { expect_z2_is_exact(lane_engine(), true); }

TEST(LaneEngine, WeightsGoToAnotherVolume) { expect_volume_transfer(lane_engine()); }

TEST(LaneEngine, AFreeTheoryIsSampledExactlyByItsOwnPrior) { expect_the_free_field_is_exact(lane_engine()); }

TEST(LaneEngine, LogPIsTheActionOfTheField) {
  expect_log_p_is_the_action_of_the_field(lane_engine(), {.lattice = {4, 6}});
  expect_log_p_is_the_action_of_the_field(lane_engine(), {.lattice = {4, 4, 4, 4}, .precision = Precision::kMixed});
}

TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQ) {
  expect_inverse_finds_the_draws_log_q(lane_engine(), {.layers = 16, .hidden = {8, 8}}, 40);
  expect_inverse_finds_the_draws_log_q(lane_engine(), {.layers = 16, .hidden = {8, 8}, .precision = Precision::kMixed}, 40);
  expect_inverse_finds_the_draws_log_q(lane_engine(), {.lattice = {4, 4, 4, 4}, .precision = Precision::kMixed}, 5);
}

TEST(ExactnessRule7, FrozenSitesPassUnchanged) {
  expect_frozen_sites_pass_unchanged(lane_engine(), {4, 4});
  expect_frozen_sites_pass_unchanged(lane_engine(), {4, 4, 6});
}

TEST(LaneEngine, NoNetworkSeesAnActiveVariable) {
  expect_no_network_sees_an_active_variable(lane_engine(), {4, 4});
  expect_no_network_sees_an_active_variable(lane_engine(), {4, 4, 4});
}

TEST(LaneEngine, NanWeightsGiveNanLogQ) {
  expect_nan_weights_give_nan_log_q(lane_engine(), Precision::kFloat64);
  expect_nan_weights_give_nan_log_q(lane_engine(), Precision::kMixed);
}

TEST(LaneEngine, ADrawDoesNotDependOnTheSizeOfTheCall) {
  for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
    const FlowParts parts({.lattice = {4, 6}, .hidden = {5, 4}, .precision = precision});
    const auto model = parts.model(lane_engine());
    const Draws all = model->draw(kTestKey, Purpose::kBase, 100, 37);
    for (std::size_t i = 0; i < 37; ++i) {
      const Draws one = model->draw(kTestKey, Purpose::kBase, 100 + i, 1);
      ASSERT_EQ(one.log_p[0], all.log_p[i]);
      ASSERT_EQ(one.log_q[0], all.log_q[i]);
      const auto begin = all.fields.begin() + static_cast<std::ptrdiff_t>(i * parts.volume());
      ASSERT_EQ(one.fields, std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(parts.volume())));
    }
  }
}

TEST(LaneEngine, NothingIsDrawnForACountOfZero) {
  const FlowParts parts{FlowCase{}};
  EXPECT_TRUE(parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 0, 0).fields.empty());
  EXPECT_TRUE(parts.model(lane_engine())->densities({}).log_q.empty());
}

TEST(LaneEngine, TwoThreadsGetTheSameBitsAsOne) {
  const FlowParts parts({.hidden = {4, 4}, .precision = Precision::kMixed});
  const auto model = parts.model(lane_engine());
  const Draws first = model->draw(kTestKey, Purpose::kBase, 0, 50);
  const Draws second = model->draw(kTestKey, Purpose::kBase, 50, 50);
  Draws first_again, second_again;
  std::thread one([&] { first_again = model->draw(kTestKey, Purpose::kBase, 0, 50); });
  std::thread two([&] { second_again = model->draw(kTestKey, Purpose::kBase, 50, 50); });
  one.join();
  two.join();
  expect_equal_bits(first, first_again);
  expect_equal_bits(second, second_again);
}

TEST(ExactnessRule7, MixedPrecisionIsNearFloat64) {
  const FlowParts exact({.layers = 6, .precision = Precision::kFloat64});
  const FlowParts mixed({.layers = 6, .precision = Precision::kMixed});
  const Draws a = exact.model(lane_engine())->draw(kTestKey, Purpose::kBase, 0, 20);
  const Draws b = mixed.model(lane_engine())->draw(kTestKey, Purpose::kBase, 0, 20);
  EXPECT_NE(a.log_q, b.log_q);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(a.log_p[i] - a.log_q[i], b.log_p[i] - b.log_q[i], 1e-3);
}

TEST(LaneEngine, RefusesToTrain) {
  const FlowParts parts{FlowCase{}};
  ErrorCode code{};
  EXPECT_EQ(sentence_of([&] { lane_engine().objective(parts.theory, parts.architecture, parts.precision); }, &code),
            "The lane engine has no gradients; use engine = \"torch\".");
  EXPECT_EQ(code, ErrorCode::kInvalidInput);
}

TEST(LaneEngine, RefusesAnotherNumberOfWeights) {
  FlowParts parts{FlowCase{}};
  parts.weights.pop_back();
  EXPECT_THROW(parts.model(lane_engine()), Error);
}

}  // namespace
}  // namespace flowloom
