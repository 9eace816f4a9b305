// The walk itself: what goes through a flow and back.
#include <gtest/gtest.h>

#include "flow/lanes/prelude.h"
#include "flow_gauge_contract.h"

namespace flowloom::lanes {
namespace flow_test {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow/lanes/convolution.inl"

#include "flow/lanes/network.inl"

#include "flow/lanes/flow.inl"

#include "flow/lanes/affine_flow.inl"

#include "flow/lanes/gauge_flow.inl"

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

// What a gauge flow makes of one field, in float64, and its log_det.
std::pair<std::vector<double>, double> forward(const GaugeFlow<U1Gauge, double>& flow, const std::vector<double>& z) {
  Field field(z.size());
  load_fields(z, field);
  auto scratch = flow.scratch(Use::kSampling);
  const double log_det = flow.forward(field, scratch).lane[0];
  std::vector<double> x(z.size());
  store_fields(field, x);
  return {x, log_det};
}

std::vector<double> angles(std::size_t count, std::uint64_t number) {
  std::vector<double> z(count);
  fill_uniform(kTestKey, Purpose::kBase, number, z);
  for (double& angle : z) angle *= kTwoPi;
  return z;
}

TEST(LanesFlow, AGaugeFlowsLogDetIsThatOfItsJacobian) {
  for (const GaugeCase& gauge_case : pure_gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const GaugeFlow<U1Gauge, double> flow(std::get<U1Gauge>(parts.theory), parts.architecture, parts.weights,
                                          Use::kSampling);
    const std::vector<double> z = angles(parts.variables(), 3);
    const auto map = [&](const std::vector<double>& from) {
      std::vector<double> x = forward(flow, from).first;
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = z[i] + flowloom::wrap_angle(x[i] - z[i] + 1);  // one branch around z
      return x;
    };
    EXPECT_NEAR(forward(flow, z).second, direct_log_det(map, z), 1e-6);
    EXPECT_GT(std::abs(forward(flow, z).second), 1e-3);
  }
}

TEST(LanesFlow, AGaugeFlowCommutesWithGaugeTransformations) {
  for (const GaugeCase& gauge_case : pure_gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const GaugeFlow<U1Gauge, double> flow(std::get<U1Gauge>(parts.theory), parts.architecture, parts.weights,
                                          Use::kSampling);
    const std::vector<double> z = angles(parts.variables(), 4);
    const std::vector<double> then = gauge_transformed(parts.geometry(), forward(flow, z).first, 5);
    const std::vector<double> first = forward(flow, gauge_transformed(parts.geometry(), z, 5)).first;
    for (std::size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(flowloom::wrap_angle(first[i] - then[i]), 0, 1e-10) << i;
  }
}

}  // namespace flow_test
}  // namespace flowloom::lanes
