#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <thread>

#include "flow/lanes/affine_tables.h"
#include "flow/lanes/lanes_engine.h"
#include "flow_objective_contract.h"

namespace flowloom {
namespace {

TEST(LaneEngine, FieldsAndLogQFollowTheDefinition) {
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {});
  expect_fields_and_log_q_follow_the_definition(lane_engine(), {.lattice = {4, 6}, .layers = 3, .hidden = {2, 3}});
  expect_fields_and_log_q_follow_the_definition(lane_engine(),
                                                {.lattice = {6}, .layers = 5, .hidden = {4}, .kernel = 5});
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
  expect_inverse_finds_the_draws_log_q(lane_engine(), {.layers = 16, .hidden = {8, 8}, .precision = Precision::kMixed},
                                       40);
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

TEST(LaneEngine, RefusesWhatOnlyLibTorchHas) {
  const FlowParts parts({.hidden = {2}, .flow = "activation = \"gelu\""});
  const auto refused = [](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string sentence = "The engine \"lanes\" has no activation gelu; use the engine \"torch\".";
  EXPECT_EQ(refused([&] { parts.model(lane_engine()); }), sentence);
  EXPECT_EQ(refused([&] { lane_engine().objective(parts.theory, parts.architecture, Precision::kMixed); }), sentence);
}

TEST(LaneEngine, NanWeightsGiveNanLogQ) {
  expect_nan_weights_give_nan_log_q(lane_engine(), Precision::kFloat64);
  expect_nan_weights_give_nan_log_q(lane_engine(), Precision::kMixed);
}

// Calls check(number, parts) for random flows of every width of a tile, in both precisions, until one fails.
template <class Check>
void for_flows_of_every_width(Check check) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    if (!flow_case.hidden.empty()) flow_case.hidden.back() += static_cast<int>(number / 3);
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      SCOPED_TRACE(std::string(to_string(precision)) + ", random flow " + std::to_string(number));
      flow_case.precision = precision;
      check(number, FlowParts(flow_case));
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Every instruction set of this processor against the one without vectors.
TEST(LaneEngine, EveryInstructionSetGivesTheSameBits) {
  const std::vector<lanes::InstructionSet> sets = lanes::instruction_sets();
  ASSERT_EQ(sets.back().name, "portable");
  for_flows_of_every_width([&](std::uint64_t, const FlowParts& parts) {
    const auto portable = parts.model(*lanes_engine(sets.back()));
    const Draws draws = portable->draw(kTestKey, Purpose::kBase, 7, 3);
    const Densities densities = portable->densities(draws.fields);
    for (const lanes::InstructionSet& set : sets) {
      SCOPED_TRACE(set.name);
      const auto model = parts.model(*lanes_engine(set));
      expect_equal_bits(model->draw(kTestKey, Purpose::kBase, 7, 3), draws);
      expect_equal_bits(model->densities(draws.fields), densities);
    }
  });
}

TEST(LaneEngine, StrangeValuesGiveTheSameBitsOnEveryInstructionSet) {
  using Limits = std::numeric_limits<double>;
  const double strange[] = {Limits::quiet_NaN(),
                            -Limits::quiet_NaN(),
                            Limits::infinity(),
                            -Limits::infinity(),
                            0.0,
                            -0.0,
                            Limits::denorm_min(),
                            -Limits::min(),
                            Limits::max(),
                            -Limits::max(),
                            1e300,
                            1e-300,
                            1e38,
                            1e-42};
  for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
    for (const char* activation : {"leaky-relu", "relu", "tanh", "silu"}) {
      const FlowParts parts({.hidden = {3, 2},
                             .precision = precision,
                             .flow = "rescale = true\nactivation = \"" + std::string(activation) + "\""});
      std::vector<double> fields;
      for (std::size_t i = 0; i < std::size(strange) * parts.volume(); ++i) {
        fields.push_back(i % parts.volume() == i / parts.volume() ? strange[i % std::size(strange)] : 0.1);
      }
      const Densities portable = parts.model(*lanes_engine(lanes::portable_instruction_set()))->densities(fields);
      for (const lanes::InstructionSet& set : lanes::vector_instruction_sets()) {
        SCOPED_TRACE(set.name + ", " + activation);
        expect_equal_bits(parts.model(*lanes_engine(set))->densities(fields), portable);
      }
    }
  }
}

// Whatever a call's size and a sample's place in it.
RC_GTEST_PROP(LaneEngine, ADrawDependsOnItsAddressAlone, ()) {
  const auto number = *rc::gen::inRange<std::uint64_t>(0, kRandomFlows);
  const FlowParts parts(random_flow(number));
  const auto first = *rc::gen::inRange<std::uint64_t>(0, 1000), length = *rc::gen::inRange<std::uint64_t>(1, 70);
  const auto skipped = *rc::gen::inRange<std::uint64_t>(0, length),
             taken = *rc::gen::inRange<std::uint64_t>(1, length - skipped + 1);
  const auto model = parts.model(lane_engine());
  const Draws all = model->draw(kTestKey, Purpose::kBase, first, length);
  const Draws some = model->draw(kTestKey, Purpose::kBase, first + skipped, taken);
  const Densities all_densities = model->densities(all.fields), some_densities = model->densities(some.fields);
  for (std::size_t i = 0; i < taken; ++i) {
    const std::size_t j = skipped + i;
    RC_ASSERT(some.log_p[i] == all.log_p[j]);
    RC_ASSERT(some.log_q[i] == all.log_q[j]);
    RC_ASSERT(some_densities.log_q[i] == all_densities.log_q[j]);
    RC_ASSERT(some_densities.round_trip[i] == all_densities.round_trip[j]);
    for (std::size_t k = 0; k < Phi4::kSums; ++k) RC_ASSERT(some.sums[k * taken + i] == all.sums[k * length + j]);
    for (std::size_t x = 0; x < parts.volume(); ++x) {
      RC_ASSERT(some.fields[i * parts.volume() + x] == all.fields[j * parts.volume() + x]);
    }
  }
}

// The noise of the lanes is that of spec/noise.h.
TEST(LaneEngine, ItsNoiseIsThatOfTheAddress) {
  const FlowParts parts(
      {.lattice = {2, 4, 2}, .layers = 1, .hidden = {}, .kernel = 1, .flow = "init_scale = 0\nbias = false"});
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1} << 32, ~std::uint64_t{0} - 20}) {
    const Draws draws = parts.model(lane_engine())->draw(kTestKey, Purpose::kAudit, first, 18);
    for (std::size_t i = 0; i < 18; ++i) {
      const std::vector<double> z = noise_at(first + i, parts.volume(), Purpose::kAudit);
      for (std::size_t x = 0; x < z.size(); ++x) ASSERT_EQ(draws.fields[i * z.size() + x], z[x]) << first + i;
    }
  }
}

TEST(LaneEngine, ADeviceWithOtherBitsIsRefused) {
  FlowParts parts({.precision = Precision::kMixed});
  const auto reference = parts.model(lane_engine());
  EXPECT_NO_THROW(
      prove_bits(*parts.model(*lanes_engine(lanes::portable_instruction_set())), *reference, "cpu:portable"));
  parts.weights.front() = std::nextafter(static_cast<float>(parts.weights.front()), 10.0f);
  ErrorCode code{};
  const std::string sentence =
      sentence_of([&] { prove_bits(*parts.model(lane_engine()), *reference, "cuda:0"); }, &code);
  EXPECT_TRUE(sentence.starts_with("The device cuda:0 does not give the CPU's bits")) << sentence;
  EXPECT_EQ(code, ErrorCode::kConflict);
}

TEST(LaneEngine, RefusesACheckerboardOnOddExtents) {
  const FlowParts parts{FlowCase{}};
  EXPECT_EQ(sentence_of([&] { lanes::AffineTables(Geometry({4, 3}), parts.architecture); }),
            "A checkerboard needs a lattice whose extents are all even.");
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

TEST(LaneObjective, TheGradientIsTheLosssSlope) { expect_the_gradient_is_the_losss_slope(lane_engine()); }

TEST(LaneObjective, ThePathGradientIsTheSameInOnePassAndByTheInverseAndDiffersByTheScore) {
  expect_the_path_gradient_differs_by_the_score(lane_engine());
}

TEST(LaneObjective, ThePathGradientInMixedPrecisionIsNearFloat64s) {
  expect_the_mixed_path_gradient_is_near_float64s(lane_engine());
}

TEST(LaneObjective, ThePathGradientVanishesWhereTheFlowIsTheTarget) {
  expect_the_path_gradient_vanishes_at_the_target(lane_engine());
}

TEST(LaneObjective, TheForwardGradientIsTheSlopeOfMinusLogQ) {
  expect_the_forward_gradient_is_the_slope_of_minus_log_q(lane_engine());
}

TEST(LaneObjective, TheGradientIsASumOverSamples) { expect_the_gradient_is_a_sum_over_samples(lane_engine()); }

TEST(LaneObjective, LogWIsTheModelsOwn) { expect_log_w_is_the_models_own(lane_engine()); }

TEST(LaneObjective, MixedPrecisionsGradientIsNearFloat64s) {
  expect_the_mixed_gradient_is_near_float64s(lane_engine());
}

TEST(LaneObjective, TwoThreadsAtOnceGetTheSameBitsAsOneAfterTheOther) {
  expect_threads_get_the_same_gradient(lane_engine());
}

TEST(LaneObjective, NanWeightsGiveNanLogW) { expect_nan_weights_give_nan_gradients(lane_engine()); }

TEST(LaneObjective, EveryInstructionSetGivesTheSameBits) {
  const auto portable = lanes_engine(lanes::portable_instruction_set());
  for_flows_of_every_width([&](std::uint64_t number, const FlowParts& parts) {
    const Estimator estimator = number % 2 == 0 ? Estimator::kPath : Estimator::kReparameterised;
    const std::vector<double> fields = parts.model(*portable)->draw(kTestKey, Purpose::kBase, 3, 5).fields;
    const Gradient reverse = reverse_kl(*portable, parts, 7, 17, estimator);
    const Gradient forward = objective_of(*portable, parts)->forward_kl(parts.weights, fields);
    for (const lanes::InstructionSet& set : lanes::vector_instruction_sets()) {
      SCOPED_TRACE(set.name);
      const auto engine = lanes_engine(set);
      expect_equal_bits(reverse_kl(*engine, parts, 7, 17, estimator), reverse);
      expect_equal_bits(objective_of(*engine, parts)->forward_kl(parts.weights, fields), forward);
    }
  });
}

// Sums over sites are cut into blocks; the weights of a small volume follow from few, those of a large one from many.
TEST(LaneObjective, ALargeVolumeHasTheSameBitsOnEveryInstructionSet) {
  const FlowParts parts({.lattice = {18, 14}, .hidden = {5, 9}, .precision = Precision::kMixed});
  const Gradient portable = reverse_kl(*lanes_engine(lanes::portable_instruction_set()), parts, 0, 40);
  for (const lanes::InstructionSet& set : lanes::vector_instruction_sets()) {
    SCOPED_TRACE(set.name);
    expect_equal_bits(reverse_kl(*lanes_engine(set), parts, 0, 40), portable);
  }
}

TEST(LaneObjective, LanesBeyondTheCountAddNothing) {
  const FlowParts parts({.hidden = {3, 2}, .flow = "symmetry = \"z2\"\nprior = \"free-field\"\nrescale = true"});
  const auto objective = objective_of(lane_engine(), parts);
  std::vector<double> summed(parts.weights.size());
  for (std::uint64_t i = 0; i < 19; ++i) {
    const auto one = objective->reverse_kl(Estimator::kPath, parts.weights, kTestKey, i, 1).sum;
    for (std::size_t k = 0; k < one.size(); ++k) summed[k] += one[k];
  }
  expect_sum(objective->reverse_kl(Estimator::kPath, parts.weights, kTestKey, 0, 19).sum, summed,
             std::vector<double>(summed.size()), 1e-13);
}

TEST(LaneEngine, RefusesAnotherNumberOfWeights) {
  FlowParts parts{FlowCase{}};
  parts.weights.pop_back();
  EXPECT_THROW(parts.model(lane_engine()), Error);
}

}  // namespace
}  // namespace flowloom
