// The lane engine on a GPU, where there is one. What can be tested without is in flow_cuda_bodies_test.cc.
#include <gtest/gtest.h>

#include "flow_gauge_contract.h"
#include "flow_spectral_contract.h"

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

  // Parts: of the case, in either precision.
  template <class Parts, class Case>
  void expect_the_cpus_bits(Case own) const {
    if (HasFailure()) return;
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      own.precision = precision;
      SCOPED_TRACE(to_string(precision));
      const Parts parts(own);
      const auto here = parts.model(lane_engine()), there = parts.model(*gpu_);
      const Draws draws = here->draw(kTestKey, Purpose::kBase, 0, 300);
      expect_equal_bits(there->draw(kTestKey, Purpose::kBase, 0, 300), draws);
      expect_equal_bits(there->densities(draws.fields), here->densities(draws.fields));
    }
  }

  std::shared_ptr<const Engine> gpu_;
};

TEST_F(CudaEngine, GivesTheBitsOfTheCpuInEveryArchitecture) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    SCOPED_TRACE("random flow " + std::to_string(number));
    expect_the_cpus_bits<FlowParts>(random_flow(number));
  }
}

TEST_F(CudaEngine, GivesTheBitsOfTheCpuForGaugeFields) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    SCOPED_TRACE(gauge_case.theory + "\n" + gauge_case.flow);
    expect_the_cpus_bits<GaugeParts>(gauge_case);
  }
  for (const SpectralCase& spectral_case : spectral_cases()) {
    SCOPED_TRACE("SU(" + std::to_string(spectral_case.colours) + ")\n" + spectral_case.flow);
    expect_the_cpus_bits<SpectralParts>(spectral_case);
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
