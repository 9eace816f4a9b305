#include "flow/spectral_coupling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

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
      for (const Loop& loop : coupling.context) expect_path(loop, parts.geometry());
    }
  }
}

// Loops by how many of their links are active, as fractions of all loops of their kind: plaquettes with none and with
// one, which are the active loops, and 2x1 loops with none (counted once on 4^d, by another program).
TEST(SpectralCoupling, LoopsHaveAsManyActiveLinksAsCountedInThreeAndFourDimensions) {
  struct Count {
    std::vector<std::int64_t> lattice;
    std::string mask;
    double plaquettes_without, plaquettes_with_one, wide_without;
  };
  for (const Count& count : std::vector<Count>{
           {{4, 4, 4, 4}, "directions = [0], steps = [1, 1, 1, 1], width = 2", 1. / 2, 1. / 2, 5. / 8},
           {{4, 4, 4, 4}, "directions = [0], steps = [1, 1, 1, 1], width = 4", 3. / 4, 1. / 4, 11. / 16},
           {{4, 4, 4, 4}, "directions = [0], steps = [0, 1, 2, 0], width = 4", 19. / 24, 1. / 6, 13. / 16},
           {{4, 4, 4, 4},
            "directions = [0, 1, 2, 3], at = [0, 0, 0, 0], every = [2, 2, 2, 2]",
            13. / 16,
            1. / 8,
            3. / 4},
           {{4, 4, 4}, "directions = [0], steps = [1, 1, 1], width = 2", 1. / 3, 2. / 3, 1. / 2}}) {
    SCOPED_TRACE(count.mask);
    const SpectralParts parts(
        {.lattice = count.lattice, .hidden = {1}, .flow = "bins = 1\nmasks = [{ " + count.mask + " }]"});
    const std::vector<LoopCoupling> couplings = parts.architecture.couplings(parts.geometry());
    const std::size_t dimensions = count.lattice.size(), rounds = 2 * (dimensions - 1);
    const std::size_t planes = dimensions * (dimensions - 1) / 2, offsets = couplings.size() / rounds;
    ASSERT_EQ(couplings.size(), offsets * rounds);
    const auto plaquettes = static_cast<double>(planes * parts.geometry().sites());
    for (std::size_t offset = 0; offset < offsets; ++offset) {
      std::size_t without = 0, wide = 0;  // loops of a site: of each plane the plaquette and two 2x1
      ASSERT_EQ(couplings[offset].sites.groups, 3 * planes);
      for (const std::uint32_t input : couplings[offset].sites.inputs) ++(input % 3 == 0 ? without : wide);
      std::set<std::vector<std::uint32_t>> with_one;  // each by its links
      for (std::size_t round = 0; round < rounds; ++round) {
        for (const auto& link : couplings[round * offsets + offset].active) {
          std::vector<std::uint32_t> links{link.number};
          for (const LoopLink& other : link.rest) links.push_back(other.number);
          std::ranges::sort(links);
          with_one.insert(std::move(links));
        }
      }
      EXPECT_DOUBLE_EQ(static_cast<double>(without) / plaquettes, count.plaquettes_without);
      EXPECT_DOUBLE_EQ(static_cast<double>(with_one.size()) / plaquettes, count.plaquettes_with_one);
      EXPECT_DOUBLE_EQ(static_cast<double>(wide) / (2 * plaquettes), count.wide_without);
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

TEST(SpectralCoupling, OneEigenvalueHasNoOrder) {
  const auto sentence = [](const std::string& theory) {
    return sentence_of([&] {
      load_run_text("[run]\nname = \"x\"\n[theory]\nkind = \"" + theory +
                        "\"\nlattice = [4, 4]\nbeta = 1.0\n[flow]\nkind = \"spectral-coupling\"\nautoregressive = "
                        "true\n[chain]\nlength = 1\n",
                    "x.toml");
    });
  };
  EXPECT_EQ(sentence("su2"),
            "x.toml:9: [flow] autoregressive does nothing here: an SU(2) matrix has one eigenvalue to change; leave it "
            "out.");
  EXPECT_EQ(sentence("su3"), "");
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
