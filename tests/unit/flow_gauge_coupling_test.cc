#include "flow/gauge_coupling.h"

#include <gtest/gtest.h>

#include "flow/lanes/context_update.h"
#include "flow/lanes/lanes_engine.h"
#include "flow_gauge_contract.h"

namespace flowloom {
namespace {

std::vector<LoopCoupling> couplings(const GaugeCase& gauge_case) {
  const GaugeParts parts(gauge_case);
  return parts.architecture.couplings(parts.geometry());
}

TEST(GaugeCoupling, EightLayersChangeEveryLinkOfTwoDimensionsOnce) {
  const auto all = couplings({.lattice = {8, 4}});
  ASSERT_EQ(all.size(), 16u);  // forwards, then backwards
  for (const std::size_t round : {0u, 1u}) {
    std::vector<int> changes(64);
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(all[8 * round + i].active.size(), 8u);  // of 64
      for (const auto& link : all[8 * round + i].active) ++changes[link.number];
    }
    EXPECT_EQ(changes, std::vector<int>(64, 1));
  }
}

// physics of arXiv:2003.06413: half of the plaquettes have no active link, an eighth of the links are active.
TEST(GaugeCoupling, HalfOfThePlaquettesAreFrozenUnderTheUsualMasks) {
  for (const LoopCoupling& coupling : couplings({.lattice = {8, 8}})) {
    ASSERT_EQ(coupling.sites.groups, 3u);
    std::array<std::size_t, 3> seen{};  // plaquettes, wide and tall ones of two
    for (const std::uint32_t input : coupling.sites.inputs) ++seen[input % 3];
    EXPECT_EQ(seen, (std::array<std::size_t, 3>{32, 32, 32}));
  }
}

// A layer finds half of its context in that of its neighbour.
TEST(GaugeCoupling, ContextsTakeOverWhatTheLayerBeforeHasNotChanged) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    const std::vector<LoopCoupling> all = couplings(gauge_case);
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (const LoopCoupling& last : {all[(i + 1) % all.size()], all[(i + all.size() - 1) % all.size()]}) {
        const lanes::ContextUpdate update = lanes::context_after(last, all[i]);
        std::vector<int> found(all[i].context.size());
        for (const std::uint32_t to : update.computed) ++found[to];
        for (const auto& [from, to] : update.copied) {
          ++found[to];
          EXPECT_EQ(last.context[from], all[i].context[to]);
        }
        EXPECT_EQ(found, std::vector<int>(all[i].context.size(), 1));
      }
      EXPECT_EQ(lanes::whole_context(all[i]).computed.size(), all[i].context.size());
    }
  }
  const std::vector<LoopCoupling> usual = couplings({.lattice = {8, 8}});
  for (std::size_t i = 0; i + 1 < usual.size(); ++i) {
    EXPECT_EQ(lanes::context_after(usual[i], usual[i + 1]).copied.size(), usual[i].context.size() / 2);
    EXPECT_EQ(lanes::context_after(usual[i + 1], usual[i]).copied.size(), usual[i].context.size() / 2);
  }
}

TEST(GaugeCoupling, AnActiveLoopHasItsLinkAndNoOtherActiveOne) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    for (const LoopCoupling& coupling : couplings(gauge_case)) {
      std::vector<bool> active(GaugeParts(gauge_case).variables());
      for (const auto& link : coupling.active) active[link.number] = true;
      for (const auto& link : coupling.active) {
        ASSERT_GE(link.rest.size(), 3u);
        for (const LoopLink& other : link.rest) EXPECT_FALSE(active[other.number]);
      }
      ASSERT_EQ(coupling.context.size(), coupling.sites.inputs.size());
      for (const Loop& loop : coupling.context) {
        EXPECT_FALSE(loop.empty());
        for (const LoopLink& link : loop) EXPECT_FALSE(active[link.number]);
      }
    }
  }
}

// How often each plaquette is in a loop of two dimensions, but for multiples of all: two neighbours differ by how often
// the link between them is.
std::vector<int> plaquettes_in(const Loop& loop, const Geometry& geometry) {
  const std::size_t sites = geometry.sites();
  std::vector<int> by_link(2 * sites), count(sites);
  for (const LoopLink& link : loop) by_link[link.number] += static_cast<int>(link.sign);
  const auto forward = [&](std::size_t mu, std::size_t x) { return static_cast<std::size_t>(geometry.forward(mu)[x]); };
  // theta_0(x) has the plaquette at x once and the one below it minus once; theta_1(x) the other way round.
  for (std::size_t row = 0, x = 0; row < static_cast<std::size_t>(geometry.extents()[0]); ++row) {
    for (std::int64_t i = 1; i < geometry.extents()[1]; ++i) {
      count[forward(1, x)] = count[x] + by_link[forward(1, x)];
      x = forward(1, x);
    }
    x = forward(1, x);
    const std::size_t next = forward(0, x);
    count[next] = count[x] - by_link[sites + next];
    x = next;
  }
  return count;
}

// Halves from the whole torus down to plaquettes: 15 links give all 15 independent angles of 16 plaquettes.
TEST(GaugeCoupling, MasksThatHalveLoopsSeeTheWholeAroundEveryHalf) {
  const GaugeCase gauge_case{.flow = std::string(kHalvingMasks) + "context = \"around\""};
  const GaugeParts parts(gauge_case);
  const auto all = couplings(gauge_case);
  ASSERT_EQ(all.size(), 8u);  // two rounds
  std::size_t links = 0;
  for (std::size_t layer = 0; layer < 4; ++layer) {
    const LoopCoupling& coupling = all[layer];
    EXPECT_EQ(coupling.sites.inputs, coupling.sites.outputs);
    ASSERT_EQ(coupling.sites.groups, 1u);
    const int size = 8 >> layer;
    for (std::size_t i = 0; i < coupling.active.size(); ++i, ++links) {
      Loop loop = coupling.active[i].rest;
      loop.push_back({coupling.active[i].number, 1});
      const auto sizes = [&](const Loop& of) {
        const std::vector<int> in = plaquettes_in(of, parts.geometry());
        const int least = *std::ranges::min_element(in);
        int inside = 0;
        for (const int count : in) {
          EXPECT_LE(count - least, 1);
          inside += count - least;
        }
        return std::min(inside, 16 - inside);  // either orientation
      };
      EXPECT_EQ(sizes(loop), size);
      EXPECT_EQ(sizes(coupling.context[i]), 2 * size % 16);
    }
  }
  EXPECT_EQ(links, 15u);
}

// A loop's angle is gauge invariant only if it is closed.
TEST(GaugeCoupling, ActiveLoopsAreClosed) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const std::vector<double> zero(parts.variables()), pure = gauge_transformed(parts.geometry(), zero, 3);
    for (const LoopCoupling& coupling : parts.architecture.couplings(parts.geometry())) {
      for (const auto& link : coupling.active) {
        double sum = pure[link.number];
        for (const LoopLink& other : link.rest) sum += other.sign * pure[other.number];
        EXPECT_NEAR(sum, 0, 1e-13);
      }
    }
  }
}

TEST(GaugeCoupling, RefusesMasksThatDoNotFit) {
  const auto sentence = [](const GaugeCase& gauge_case) { return sentence_of([&] { gauge_case.run(); }); };
  EXPECT_EQ(
      sentence({.lattice = {6, 6}}),
      "test.toml:6: [theory] lattice = [6,6]: the usual masks, lines of links, every fourth, need extents that are "
      "multiples of 4; take such a lattice, or give [flow] masks.");
  EXPECT_NE(sentence({.lattice = {6, 6}, .flow = "masks = [{ directions = [0], steps = [0, 1], width = 4 }]"})
                .find("the mask with directions = [0], steps = [0,1], width = 4 does not close around the lattice in "
                      "direction 1, whose extent is 6; extent times step must be a multiple of the width."),
            std::string::npos);
  EXPECT_NE(sentence({.flow = "masks = [{ directions = [0], steps = [0, 0], width = 1 }]"})
                .find("has links without an active loop that contains no other link of the mask"),
            std::string::npos);
  EXPECT_NE(sentence({.flow = "masks = [{ directions = [0, 2], steps = [0, 1], width = 2 }]"})
                .find("must be different ones of 0 to 1"),
            std::string::npos);
  EXPECT_NE(sentence({.flow = "masks = [{ directions = [0], steps = [1], width = 2 }]"})
                .find("must have one number for each of the 2 directions"),
            std::string::npos);
  EXPECT_NE(sentence({.flow = "masks = [{ directions = [0], at = [0, 0], every = [1, 3] }]"})
                .find("the mask with directions = [0], at = [0,0], every = [1,3] does not close around the lattice in "
                      "direction 1, whose extent is 4; the extent must be a multiple of `every`."),
            std::string::npos);
  for (const char* half : {"at = [0, 0]", "steps = [0, 1], width = 4, at = [0, 0], every = [1, 4]", "width = 4"}) {
    EXPECT_NE(sentence({.flow = "masks = [{ directions = [0], " + std::string(half) + " }]"})
                  .find("a mask needs either steps and width, or at and every"),
              std::string::npos);
  }
  EXPECT_NE(sentence({.flow = "masks = [{ directions = [0], at = [0, 0], every = [1, 4], loop = [1] }]"})
                .find("loop = [1] must have one number for each of the 2 directions"),
            std::string::npos);
}

TEST(GaugeCoupling, RefusesKeysOfTheOtherMap) {
  const auto sentence = [](const char* flow) { return sentence_of([&] { GaugeCase{.flow = flow}.run(); }); };
  EXPECT_EQ(
      sentence("map = \"mixture\"\nbins = 8"),
      "test.toml:13: [flow] bins does nothing here: it is of map = \"spline\"; leave it out, or take components.");
  EXPECT_EQ(
      sentence("components = 6"),
      "test.toml:12: [flow] components does nothing here: it is of map = \"mixture\"; leave it out, or take bins.");
  EXPECT_EQ(sentence("map = \"mixture\"\ncomponents = 6"), "");
  EXPECT_EQ(sentence("map = \"spline\"\nbins = 8"), "");
}

TEST(GaugeCoupling, FlowsAreForTheirOwnFields) {
  EXPECT_EQ(sentence_of([] {
              load_run_text(
                  "[run]\nname = \"x\"\n[theory]\nkind = \"u1\"\nlattice = [4, 4]\nbeta = 1.0\n[flow]\nkind = "
                  "\"affine-coupling\"\n[chain]\nlength = 1\n",
                  "x.toml");
            }),
            "x.toml:8: [flow] kind = \"affine-coupling\" does not act on the variables of the theory \"u1\"; use "
            "\"gauge-coupling\".");
}

TEST(GaugeLanes, FieldsAndLogPAreRight) { expect_gauge_fields_and_log_p_are_right(lane_engine()); }
TEST(ExactnessRule7, TheInverseFindsTheDrawsLogQOfGaugeFields) {
  expect_gauge_inverse_finds_the_draws_log_q(lane_engine());
}
TEST(GaugeLanes, LogQIsGaugeInvariant) { expect_log_q_is_gauge_invariant(lane_engine()); }
TEST(GaugeLanes, NoNetworkSeesAnActiveLink) { expect_no_network_sees_an_active_link(lane_engine()); }
TEST(GaugeLanes, PathGradientsDifferByTheScore) { expect_gauge_path_gradients(lane_engine()); }
TEST(GaugeLanes, GradientsAreTheLosssSlopes) { expect_gauge_gradients_are_the_losss_slopes(lane_engine()); }

TEST(GaugeLanes, EveryInstructionSetGivesTheSameBits) {
  expect_every_engine_gives_the_same_bits<GaugeParts>(every_lane_engine(), gauge_cases());
}

TEST(GaugeLanes, ASamplesBitsDoNotDependOnItsPlace) {
  expect_a_samples_bits_do_not_depend_on_its_place(
      lane_engine(), GaugeParts({.lattice = {8, 4}, .layers = 9, .precision = Precision::kMixed}));
}

}  // namespace
}  // namespace flowloom
