// The walk itself: what goes through a flow and back.
#include <gtest/gtest.h>

#include "flow/lanes/prelude.h"
#include "flow_gauge_contract.h"
#include "flow_spectral_contract.h"

namespace flowloom::lanes {
namespace flow_test {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow/lanes/convolution.inl"

#include "flow/lanes/network.inl"

#include "flow/lanes/flow.inl"

#include "flow/lanes/affine_flow.inl"

#include "flow/lanes/angle_links.inl"

#include "flow/lanes/matrix_rows.inl"

#include "flow/lanes/spectral_maps.inl"

#include "flow/lanes/matrix_links.inl"

#include "flow/lanes/loop_flow.inl"

using GaugeFlow = LoopFlow<U1Gauge, double, AngleLinks>;
template <int N>
using SpectralFlow = LoopFlow<SuGauge<N>, double, MatrixLinks<N>>;

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
std::pair<std::vector<double>, double> forward(const GaugeFlow& flow, const std::vector<double>& z) {
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
    const GaugeFlow flow(std::get<U1Gauge>(parts.theory), parts.architecture, parts.weights, Use::kSampling);
    const std::vector<double> z = angles(parts.variables(), 3);
    const auto map = [&](const std::vector<double>& from) {
      std::vector<double> x = forward(flow, from).first;
      for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = z[i] + flowloom::wrap_angle(x[i] - z[i] + 1);  // one branch around z
      return x;
    };
    EXPECT_NEAR(forward(flow, z).second, direct_log_det(map, z), 1e-6);
    EXPECT_GT(std::abs(forward(flow, z).second), 1e-3);
  }
}

TEST(LanesFlow, AGaugeFlowCommutesWithGaugeTransformations) {
  for (const GaugeCase& gauge_case : pure_gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const GaugeFlow flow(std::get<U1Gauge>(parts.theory), parts.architecture, parts.weights, Use::kSampling);
    const std::vector<double> z = angles(parts.variables(), 4);
    const std::vector<double> then = gauge_transformed(parts.geometry(), forward(flow, z).first, 5);
    const std::vector<double> first = forward(flow, gauge_transformed(parts.geometry(), z, 5)).first;
    for (std::size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(flowloom::wrap_angle(first[i] - then[i]), 0, 1e-10) << i;
  }
}

// What a spectral flow makes of fields of matrices, kLanes at once, in float64, and their log_dets.
template <int N>
std::pair<std::vector<double>, std::vector<double>> forward(const SpectralFlow<N>& flow, const std::vector<double>& z) {
  std::vector<double> x(z.size()), log_det;
  const std::size_t variables = flow.variables();
  Field field(variables);
  auto scratch = flow.scratch(Use::kSampling);
  for (std::size_t begin = 0; begin < z.size(); begin += kLanes * variables) {
    const std::size_t size = std::min(kLanes * variables, z.size() - begin);
    load_fields(std::span(z).subspan(begin, size), field);
    const Lanes<double> found = flow.forward(field, scratch);
    log_det.insert(log_det.end(), found.lane, found.lane + size / variables);
    store_fields(field, std::span(x).subspan(begin, size));
  }
  return {x, log_det};
}

// In coordinates of links' neighbourhoods, U = exp(sum_a t_a T_a) U_0 with an orthonormal basis T of su(N): the Haar
// measure's density is the same at all links.
TEST(LanesFlow, ASpectralFlowsLogDetIsThatOfItsJacobianForTheHaarMeasure) {
  for (SpectralCase spectral_case : {SpectralCase{.layers = 9}, SpectralCase{.colours = 3, .layers = 2},
                                     SpectralCase{.colours = 3, .flow = "autoregressive = false\nbins = 3"},
                                     SpectralCase{.lattice = {6, 6}, .hidden = {2, 2}, .flow = kDilatedMatrices},
                                     SpectralCase{.lattice = {4, 4, 4}, .layers = 3, .flow = "bins = 3"},
                                     SpectralCase{.lattice = {2, 2, 4, 2}, .flow = kFourDimensions}}) {
    const SpectralParts parts(spectral_case);
    parts.with_group([&](auto n) {
      constexpr int N = n;
      const SpectralFlow<N> flow(std::get<SuGauge<N>>(parts.theory), parts.architecture, parts.weights, Use::kSampling);
      const Geometry& geometry = parts.geometry();
      const auto basis = algebra_basis<N>();
      const std::size_t links = geometry.dimensions() * geometry.sites(), size = links * basis.size();
      const auto z = random_su_field<N>(geometry, 3);
      const auto [image, log_det] = forward(flow, z);
      const auto moved = [&](std::size_t direction, double t) {
        auto field = z;
        const std::size_t link = direction / basis.size(), mu = link / geometry.sites(), x = link % geometry.sites();
        const auto turn = exponential(scaled(basis[direction % basis.size()], t));
        put_link<N>(geometry, field, mu, x, turn * link_of<N>(geometry, z, mu, x));
        return field;
      };
      constexpr double kStep = 1e-4;
      std::vector<double> fields;
      for (std::size_t j = 0; j < size; ++j) {
        for (const double t : {kStep, -kStep}) {
          const auto field = moved(j, t);
          fields.insert(fields.end(), field.begin(), field.end());
        }
      }
      const auto images = forward(flow, fields).first;
      std::vector<std::vector<double>> jacobian(size, std::vector<double>(size));
      for (std::size_t j = 0; j < size; ++j) {
        const auto above = std::span(images).subspan(2 * j * z.size(), z.size());
        const auto below = std::span(images).subspan((2 * j + 1) * z.size(), z.size());
        for (std::size_t link = 0; link < links; ++link) {
          const std::size_t mu = link / geometry.sites(), x = link % geometry.sites();
          const auto change =
              scaled(link_of<N>(geometry, above, mu, x) - link_of<N>(geometry, below, mu, x), 0.5 / kStep);
          const auto slope = times_adjoint(change, link_of<N>(geometry, image, mu, x));
          for (std::size_t a = 0; a < basis.size(); ++a) jacobian[link * basis.size() + a][j] = dot(basis[a], slope);
        }
      }
      EXPECT_NEAR(log_det[0], direct_log_abs_det(std::move(jacobian)), 1e-5);
      EXPECT_GT(std::abs(log_det[0]), 1e-2);
    });
  }
}

TEST(LanesFlow, ASpectralFlowCommutesWithGaugeTransformations) {
  for (const SpectralCase& spectral_case : spectral_cases()) {
    const SpectralParts parts(spectral_case);
    parts.with_group([&](auto n) {
      constexpr int N = n;
      const SpectralFlow<N> flow(std::get<SuGauge<N>>(parts.theory), parts.architecture, parts.weights, Use::kSampling);
      const auto z = random_su_field<N>(parts.geometry(), 4);
      const auto then = su_gauge_transformed<N>(parts.geometry(), forward(flow, z).first, 5);
      const auto first = forward(flow, su_gauge_transformed<N>(parts.geometry(), z, 5)).first;
      for (std::size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(first[i], then[i], 1e-10) << i;
    });
  }
}

}  // namespace flow_test
}  // namespace flowloom::lanes
