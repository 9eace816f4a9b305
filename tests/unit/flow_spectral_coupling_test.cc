#include "flow/spectral_coupling.h"

#include <gtest/gtest.h>

#include "flow/lanes/lanes_engine.h"
#include "flow_spectral_contract.h"

namespace flowloom {
namespace {

void expect_path(const Loop& loop, const Geometry& geometry) {
  const auto ends = [&](const LoopLink& link) {
    const std::size_t x = link.number % geometry.sites();
    const auto ahead = static_cast<std::size_t>(geometry.forward(link.number / geometry.sites())[x]);
    return link.sign > 0 ? std::pair(x, ahead) : std::pair(ahead, x);
  };
  for (std::size_t k = 0; k < loop.size(); ++k) {
    EXPECT_EQ(ends(loop[k]).second, ends(loop[(k + 1) % loop.size()]).first);
  }
}

TEST(SpectralCoupling, LoopsGoFromSiteToSite) {
  for (const SpectralCase& spectral_case : spectral_cases()) {
    const SpectralParts parts(spectral_case);
    for (const LoopCoupling& coupling : parts.architecture.couplings(parts.geometry())) {
      for (const auto& link : coupling.active) {
        Loop loop = link.rest;
        ASSERT_GE(loop.size(), 3u);
        loop.insert(loop.begin(), {link.number, 1});
        expect_path(loop, parts.geometry());
      }
      for (const auto& site : coupling.context) {
        for (const Loop& loop : site) expect_path(loop, parts.geometry());
      }
    }
  }
}

TEST(SpectralCoupling, NetworksGiveTheNumbersOfTheirMaps) {
  const auto outputs = [](int colours, const std::string& flow) {
    return SpectralParts({.colours = colours, .flow = flow}).architecture.network().channels.back();
  };
  EXPECT_EQ(outputs(2, "bins = 5"), 16);
  EXPECT_EQ(outputs(3, "bins = 5\nautoregressive = false"), 32);
  EXPECT_EQ(outputs(3, "bins = 5"), 48);
}

TEST(SpectralCoupling, FlowsAreForTheirOwnFields) {
  EXPECT_EQ(sentence_of([] {
              load_run_text(
                  "[run]\nname = \"x\"\n[theory]\nkind = \"su3\"\nlattice = [4, 4]\nbeta = 1.0\n[flow]\nkind = "
                  "\"gauge-coupling\"\n[chain]\nlength = 1\n",
                  "x.toml");
            }),
            "x.toml:8: [flow] kind = \"gauge-coupling\" does not act on the variables of the theory \"su3\"; use "
            "\"spectral-coupling\".");
}

TEST(SpectralLanes, FieldsAndLogPAreRight) { expect_spectral_fields_and_log_p_are_right(lane_engine()); }
TEST(SpectralLanes, AFlowOfZerosIsTheIdentity) { expect_a_spectral_flow_of_zeros_is_the_identity(lane_engine()); }
TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQOfMatrices) {
  expect_spectral_inverse_finds_the_draws_log_q(lane_engine());
}
TEST(SpectralLanes, LogQIsGaugeInvariant) { expect_spectral_log_q_is_gauge_invariant(lane_engine()); }
TEST(SpectralLanes, NoNetworkSeesAnActiveLink) { expect_no_spectral_network_sees_an_active_link(lane_engine()); }
TEST(SpectralLanes, PathGradientsDifferByTheScore) { expect_spectral_path_gradients(lane_engine()); }
TEST(SpectralLanes, GradientsAreTheLosssSlopes) { expect_spectral_gradients_are_the_losss_slopes(lane_engine()); }

// Links are not projected back to the group: what many layers leave of it.
TEST(SpectralLanes, ManyLayersKeepLinksInTheGroup) {
  for (const int colours : {2, 3}) {
    const SpectralParts parts(
        {.colours = colours, .layers = 192, .precision = Precision::kMixed, .flow = "init_scale = 0.3"});
    const Draws draws = parts.model(lane_engine())->draw(kTestKey, Purpose::kBase, 0, 16);
    double largest = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      const auto field = std::span(draws.fields).subspan(i * parts.variables(), parts.variables());
      parts.with_group([&](auto n) { largest = std::max(largest, distance_from_group<n>(parts.geometry(), field)); });
    }
    EXPECT_LT(largest, 1e-13) << colours;
    RecordProperty("distance" + std::to_string(colours), std::to_string(largest * 1e16) + "e-16");
  }
}

TEST(SpectralLanes, EveryInstructionSetGivesTheSameBits) {
  expect_every_engine_gives_the_same_bits<SpectralParts>(every_lane_engine(), spectral_cases());
}

TEST(SpectralLanes, ASamplesBitsDoNotDependOnItsPlace) {
  expect_a_samples_bits_do_not_depend_on_its_place(
      lane_engine(), SpectralParts({.colours = 3, .lattice = {8, 4}, .layers = 9, .precision = Precision::kMixed}));
}

}  // namespace
}  // namespace flowloom
