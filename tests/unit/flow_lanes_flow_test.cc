// The walk itself: what goes through a flow and back.
#include <gtest/gtest.h>

#include "flow/lanes/prelude.h"
#include "flow_cases.h"

namespace flowloom::lanes {
namespace flow_test {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow/lanes/convolution.inl"

#include "flow/lanes/network.inl"

#include "flow/lanes/flow.inl"

#include "flow/lanes/affine_flow.inl"

// The largest |inverse(forward(z)) - z| over sites and lanes relative to the largest |z|, and |log_det| there and back.
template <class Real>
std::array<double, 2> gaps_there_and_back(const FlowParts& parts) {
  const auto& theory = std::get<Phi4>(parts.theory);
  const AffineFlow<Phi4, Real> flow(theory, parts.architecture, parts.weights, Use::kSampling);
  auto scratch = flow.scratch(Use::kSampling);
  Field noise(flow.variables());
  flow.draw_noise(kTestKey, Purpose::kBase, 5, noise);
  Field field = noise;
  const Lanes<double> forward = flow.forward(field, scratch), inverse = flow.inverse(field, scratch);
  double gap = 0, largest = 0, log_det_gap = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    log_det_gap = std::max(log_det_gap, std::abs(forward.lane[lane] + inverse.lane[lane]));
    for (std::size_t x = 0; x < flow.variables(); ++x) {
      gap = std::max(gap, std::abs(field[x].lane[lane] - noise[x].lane[lane]));
      largest = std::max(largest, std::abs(noise[x].lane[lane]));
    }
  }
  return {gap / largest, log_det_gap};
}

TEST(LanesFlow, TheInverseOfForwardReturnsTheNoise) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const int layers : {1, flow_case.layers}) {
      SCOPED_TRACE("random flow " + std::to_string(number) + ", layers " + std::to_string(layers));
      flow_case.layers = layers;
      const FlowParts parts(flow_case);
      for (const auto& [gap, log_det_gap] : {gaps_there_and_back<float>(parts), gaps_there_and_back<double>(parts)}) {
        EXPECT_LT(gap, 1e-12);
        EXPECT_LT(log_det_gap, 1e-11);
      }
    }
  }
}

}  // namespace flow_test
}  // namespace flowloom::lanes
