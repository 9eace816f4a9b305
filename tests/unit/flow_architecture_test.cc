#include "flow/architecture.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "flow_cases.h"

namespace flowloom {
namespace {

AffineCouplingFlow architecture(const FlowCase& flow_case) {
  return std::get<AffineCouplingFlow>(architecture_of(flow_case.run()).kind());
}

TEST(AffineCouplingFlow, TheTutorialsModelHas12960Weights) {
  EXPECT_EQ(architecture({.lattice = {8, 8}, .layers = 16, .hidden = {8, 8}}).parameter_count(), 12960u);
}

TEST(AffineCouplingFlow, TheLinearModelOfThePaperHas37Weights) {  // arXiv:2211.12806, section 2.3
  const AffineCouplingFlow flow = architecture(
      {.lattice = {18, 18}, .layers = 2, .hidden = {}, .flow = "bias = false\noutput = \"identity\"\nrescale = true"});
  EXPECT_EQ(flow.parameter_count(), 37u);
}

TEST(AffineCouplingFlow, PriorAndRescalingStandFirstAndLast) {
  const AffineCouplingFlow flow =
      architecture({.layers = 1, .hidden = {}, .flow = "prior = \"free-field\"\nprior_mass2 = 2.5\nrescale = true"});
  EXPECT_EQ(flow.parameters().front().name, "prior.log_mass2");
  EXPECT_EQ(flow.parameters().back().name, "rescale.log");
  const auto weights = flow.initial_weights(NoiseKey::from("a"));
  EXPECT_EQ(weights.front(), std::log(2.5));
  EXPECT_EQ(weights.back(), 0);
}

TEST(AffineCouplingFlow, ASymmetryWithoutScalesIsRefused) {
  const FlowCase linear{.hidden = {}, .flow = "bias = false\nsymmetry = \"z2\""};
  EXPECT_EQ(sentence_of([&] { linear.run(); }),
            "test.toml:15: [flow] symmetry = \"z2\": without hidden layers and bias every s is odd, and its even part, "
            "which the symmetry keeps, is zero; use a hidden layer or a bias.");
}

TEST(AffineCouplingFlow, AMassOfAnotherPriorIsRefused) {
  EXPECT_EQ(
      sentence_of([] { FlowCase{.flow = "prior_mass2 = 2.5"}.run(); }),
      "test.toml:14: [flow] prior_mass2 does nothing here: it is of prior = \"free-field\"; leave it out, or take "
      "that prior.");
}

TEST(AffineCouplingFlow, DilationsThatDoNotFitAreRefused) {
  EXPECT_EQ(sentence_of([] { FlowCase{.lattice = {8, 8}, .flow = "dilation = [1, 2, 1]"}.run(); }),
            "test.toml:14: [flow] dilation = [1,2,1]: give one number for all convolutions or 2, one for each.");
  EXPECT_EQ(sentence_of([] { FlowCase{.lattice = {16, 8}, .kernel = 5, .flow = "dilation = [1, 3]"}.run(); }),
            "test.toml:13: [flow] kernel = 5 with dilation 3 is wider than the lattice; use at most 3.");
}

TEST(AffineCouplingFlow, ListsItsTensorsInTheOrderOfTheFlatArray) {
  const AffineCouplingFlow flow = architecture({.lattice = {4, 4, 4}, .layers = 2, .hidden = {5}});
  const auto& parameters = flow.parameters();
  ASSERT_EQ(parameters.size(), 8u);
  EXPECT_EQ(parameters[0].name, "layers.0.net.0.weight");
  EXPECT_EQ(parameters[0].shape, (std::vector<std::int64_t>{5, 1, 3, 3, 3}));
  EXPECT_EQ(parameters[0].fan_in, 27);
  EXPECT_EQ(parameters[1].name, "layers.0.net.0.bias");
  EXPECT_EQ(parameters[1].shape, (std::vector<std::int64_t>{5}));
  EXPECT_EQ(parameters[6].name, "layers.1.net.1.weight");
  EXPECT_EQ(parameters[6].shape, (std::vector<std::int64_t>{2, 5, 3, 3, 3}));
  EXPECT_EQ(parameters[6].fan_in, 135);
}

TEST(AffineCouplingFlow, InitialWeightsLieWithinTheirBounds) {
  const AffineCouplingFlow flow = architecture({.layers = 2, .hidden = {8, 8}});
  const auto weights = flow.initial_weights(NoiseKey::from("a"));
  auto at = weights.begin();
  for (const Parameter& parameter : flow.parameters()) {
    const auto end = at + static_cast<std::ptrdiff_t>(parameter.size());
    const double bound = 1 / std::sqrt(static_cast<double>(parameter.fan_in));
    const double largest =
        std::abs(*std::max_element(at, end, [](double a, double b) { return std::abs(a) < std::abs(b); }));
    EXPECT_LE(largest, bound) << parameter.name;
    EXPECT_GT(largest, 0.05 * bound) << parameter.name;
    at = end;
  }
}

TEST(AffineCouplingFlow, InitialWeightsDependOnTheKeyOnly) {
  const AffineCouplingFlow flow = architecture({});
  EXPECT_EQ(flow.initial_weights(NoiseKey::from("a")), flow.initial_weights(NoiseKey::from("a")));
  EXPECT_NE(flow.initial_weights(NoiseKey::from("a")), flow.initial_weights(NoiseKey::from("b")));
}

TEST(AffineCouplingFlow, InitScaleZeroStartsFromTheIdentity) {
  RunSpec run = load_run_text(
      "[run]\nname = \"x\"\nprecision = \"float64\"\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = "
      "1\nlambda = 1\n"
      "[flow]\nkind = \"affine-coupling\"\ninit_scale = 0\n[chain]\nlength = 1\n",
      "x.toml");
  const AffineCouplingFlow flow = std::get<AffineCouplingFlow>(architecture_of(run).kind());
  const auto weights = flow.initial_weights(NoiseKey::from("a"));
  const auto model = open_engine("lanes")->model(theory_of(run), flow, weights, Precision::kFloat64);
  EXPECT_EQ(model->draw(kTestKey, Purpose::kBase, 3, 1).fields, noise_at(3, 16));
}

// Otherwise the tests on random flows would hold of flows that couple nothing.
TEST(RandomFlows, MostlyCoupleSitesAndUseEverySetting) {
  std::array<int, 5> coupling{};  // by dimension
  int dilated = 0, z2 = 0, wide = 0;
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    const FlowCase flow = random_flow(number);
    if (flow.kernel == 1) continue;
    ++coupling[flow.lattice.size()];
    dilated += flow.flow.find("2") != std::string::npos && flow.flow.find("dilation = [") != std::string::npos;
    z2 += flow.flow.find("\"z2\"") != std::string::npos;
    wide += flow.kernel == 5;
  }
  EXPECT_GE(coupling[2], 10);
  EXPECT_GE(coupling[3], 3);
  EXPECT_GE(coupling[4], 2);
  EXPECT_GE(dilated, 3);
  EXPECT_GE(z2, 8);
  EXPECT_GE(wide, 3);
}

}  // namespace
}  // namespace flowloom
