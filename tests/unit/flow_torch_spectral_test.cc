#include <gtest/gtest.h>

#include "flow_spectral_contract.h"

namespace flowloom {
namespace {

TEST(TorchSpectral, FieldsAndLogPAreRight) { expect_spectral_fields_and_log_p_are_right(torch()); }
TEST(TorchSpectral, AFlowOfZerosIsTheIdentity) { expect_a_spectral_flow_of_zeros_is_the_identity(torch()); }
TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQOfMatrices) { expect_spectral_inverse_finds_the_draws_log_q(torch()); }
TEST(TorchSpectral, LogQIsGaugeInvariant) { expect_spectral_log_q_is_gauge_invariant(torch()); }
TEST(TorchSpectral, NoNetworkSeesAnActiveLink) { expect_no_spectral_network_sees_an_active_link(torch()); }
TEST(TorchSpectral, PathGradientsDifferByTheScore) { expect_spectral_path_gradients(torch()); }
TEST(TorchSpectral, GradientsAreTheLosssSlopes) { expect_spectral_gradients_are_the_losss_slopes(torch()); }

TEST(TorchSpectral, TheLaneEnginesNumbersAreItsOwn) {
  for (SpectralCase spectral_case : spectral_cases()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      spectral_case.precision = precision;
      SCOPED_TRACE(std::to_string(spectral_case.colours) + " colours, " + spectral_case.flow);
      const SpectralParts parts(spectral_case);
      const double tolerance = precision == Precision::kMixed ? 1e-3 : 1e-10;
      const Draws own = parts.model(torch())->draw(kTestKey, Purpose::kBase, 3, 21);
      const Draws lanes = parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 3, 21);
      for (std::size_t i = 0; i < 21; ++i) {
        EXPECT_NEAR(own.log_q[i], lanes.log_q[i], tolerance);
        EXPECT_NEAR(own.log_p[i], lanes.log_p[i], tolerance);
      }
      for (const Estimator estimator : {Estimator::kReparameterised, Estimator::kPath}) {
        const auto a = reverse_kl(torch(), parts, 7, 21, estimator),
                   b = reverse_kl(lane_engine(), parts, 7, 21, estimator);
        expect_sum(a.sum, b.sum, std::vector<double>(a.sum.size()), precision == Precision::kMixed ? 1e-4 : 1e-10);
      }
    }
  }
}

}  // namespace
}  // namespace flowloom
