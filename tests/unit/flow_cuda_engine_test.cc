// The lane engine on a GPU, where there is one. What can be tested without is in flow_cuda_bodies_test.cc.
#include <gtest/gtest.h>

#include "flow_gauge_contract.h"

namespace flowloom {
namespace {

class CudaEngine : public testing::Test {
 protected:
  void SetUp() override {
    ErrorCode code{};
    const std::string sentence = sentence_of([&] { gpu_ = open_engine("lanes", "cuda:0"); }, &code);
    if (gpu_) return;
    ASSERT_EQ(code, ErrorCode::kNotFound) << sentence;
    GTEST_SKIP() << sentence;
  }

  std::shared_ptr<const Engine> gpu_;
};

TEST_F(CudaEngine, GivesTheBitsOfTheCpuInEveryArchitecture) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      flow_case.precision = precision;
      SCOPED_TRACE("random flow " + std::to_string(number) + ", " + to_string(precision));
      const FlowParts parts(flow_case);
      const auto here = parts.model(lane_engine()), there = parts.model(*gpu_);
      const Draws draws = here->draw(kTestKey, Purpose::kBase, 0, 300);
      expect_equal_bits(there->draw(kTestKey, Purpose::kBase, 0, 300), draws);
      expect_equal_bits(there->densities(draws.fields), here->densities(draws.fields));
    }
    if (HasFailure()) return;
  }
}

TEST_F(CudaEngine, GivesTheBitsOfTheCpuForGaugeFields) {
  for (GaugeCase gauge_case : gauge_cases()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      gauge_case.precision = precision;
      SCOPED_TRACE(gauge_case.theory + ", " + to_string(precision) + "\n" + gauge_case.flow);
      const GaugeParts parts(gauge_case);
      const auto here = parts.model(lane_engine()), there = parts.model(*gpu_);
      const Draws draws = here->draw(kTestKey, Purpose::kBase, 0, 300);
      expect_equal_bits(there->draw(kTestKey, Purpose::kBase, 0, 300), draws);
      expect_equal_bits(there->densities(draws.fields), here->densities(draws.fields));
    }
    if (HasFailure()) return;
  }
}

TEST_F(CudaEngine, GivesTheBitsOfTheCpuInALargeVolume) {
  const FlowParts parts({.lattice = {32, 16}, .layers = 8, .hidden = {16, 16}, .precision = Precision::kMixed});
  expect_equal_bits(parts.model(*gpu_)->draw(kTestKey, Purpose::kBase, 5, 1000),
                    parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 5, 1000));
}

TEST_F(CudaEngine, SaysWhatItIs) {
  EXPECT_EQ(gpu_->name(), "lanes");
  EXPECT_EQ(gpu_->build(), lane_engine().build());
  EXPECT_TRUE(gpu_->device().starts_with("cuda:0, ")) << gpu_->device();
}

}  // namespace
}  // namespace flowloom
