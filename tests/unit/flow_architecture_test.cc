#include "flow/architecture.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "flow_cases.h"

namespace flowloom {
namespace {

AffineCouplingFlow architecture(const FlowCase& flow_case) { return architecture_of(flow_case.run()); }

TEST(AffineCouplingFlow, TheTutorialsModelHas12960Weights) {
  EXPECT_EQ(architecture({.lattice = {8, 8}, .layers = 16, .hidden = {8, 8}}).parameter_count(), 12960u);
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
  const AffineCouplingFlow flow = architecture_of(run);
  const auto weights = flow.initial_weights(NoiseKey::from("a"));
  const auto model = open_engine("scalar")->model(theory_of(run), flow, weights, Precision::kFloat64);
  EXPECT_EQ(model->draw(kTestKey, Purpose::kBase, 3, 1).fields, noise_at(3, 16));
}

}  // namespace
}  // namespace flowloom
