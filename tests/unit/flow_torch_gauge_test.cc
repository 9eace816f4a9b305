#include <gtest/gtest.h>

#include "flow_gauge_contract.h"

namespace flowloom {
namespace {

TEST(TorchGauge, FieldsAndLogPAreRight) { expect_gauge_fields_and_log_p_are_right(torch()); }
TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQOfGaugeFields) { expect_gauge_inverse_finds_the_draws_log_q(torch()); }
TEST(TorchGauge, LogQIsGaugeInvariant) { expect_log_q_is_gauge_invariant(torch()); }
TEST(TorchGauge, NoNetworkSeesAnActiveLink) { expect_no_network_sees_an_active_link(torch()); }
TEST(TorchGauge, PathGradientsDifferByTheScore) { expect_gauge_path_gradients(torch()); }
TEST(TorchGauge, GradientsAreTheLosssSlopes) { expect_gauge_gradients_are_the_losss_slopes(torch()); }

TEST(TorchGauge, TheLaneEnginesNumbersAreItsOwn) {
  for (GaugeCase gauge_case : gauge_cases()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      gauge_case.precision = precision;
      SCOPED_TRACE(gauge_case.flow);
      const GaugeParts parts(gauge_case);
      const double tolerance = precision == Precision::kMixed ? 1e-3 : 1e-9;
      const Draws own = parts.model(torch())->draw(kTestKey, Purpose::kBase, 3, 21);
      const Draws lanes = parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 3, 21);
      for (std::size_t i = 0; i < 21; ++i) {
        EXPECT_NEAR(own.log_q[i], lanes.log_q[i], tolerance);
        EXPECT_NEAR(own.log_p[i], lanes.log_p[i], tolerance);
      }
      for (const Estimator estimator : {Estimator::kReparameterised, Estimator::kPath}) {
        const auto a = reverse_kl(torch(), parts, 7, 21, estimator),
                   b = reverse_kl(lane_engine(), parts, 7, 21, estimator);
        expect_sum(a.sum, b.sum, std::vector<double>(a.sum.size()), precision == Precision::kMixed ? 1e-5 : 1e-10);
      }
    }
  }
}

}  // namespace
}  // namespace flowloom
