#include "lattice/reference_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "lattice/heat_bath.h"
#include "support.h"
#include "theory_cases.h"

namespace flowloom {
namespace {

using Field = std::vector<double>;

GaugeLattice small() { return GaugeLattice(Geometry({2, 4})); }
NoiseKey key() { return NoiseKey::from("reference"); }
const HmcOptions kHmc;
std::unique_ptr<ReferenceChain> phi4_chain(const std::vector<std::int64_t>& lattice, const HmcOptions& options,
                                           NoiseKey noise) {
  return hmc_reference(hmc_action(theory_of_keys(phi4_keys(lattice, "m2 = -4.0, lambda = 8.0"))), FieldType::kScalar,
                       options, noise);
}
std::unique_ptr<ReferenceChain> u1_chain(double beta, const HmcOptions& options) {
  return hmc_reference(hmc_action(theory_of_keys(u1_keys({4, 4}, beta))), FieldType::kAngle, options, key());
}
Field copy(std::span<const double> field) { return Field(field.begin(), field.end()); }

TEST(ReferenceChain, FieldsHaveTheirShapesAndStartCold) {
  EXPECT_EQ(copy(phi4_chain({2, 4}, kHmc, key())->field()), Field(8, 0.0));
  EXPECT_EQ(copy(u1_chain(2, kHmc)->field()), Field(32, 0.0));
  EXPECT_EQ(copy(heat_bath_reference(1, small(), 2, 1, key())->field()), Field(16, 0.0));
  for (const std::size_t n : {2u, 3u}) {
    const auto chain = heat_bath_reference(static_cast<int>(n), small(), 2, 1, key());
    ASSERT_EQ(chain->field().size(), 16 * 2 * n * n);
    for (std::size_t k = 0; k < chain->field().size(); ++k) {
      const std::size_t component = k / 8 % (2 * n * n), entry = component / 2;
      EXPECT_EQ(chain->field()[k], component % 2 == 0 && entry % (n + 1) == 0 ? 1 : 0);
    }
  }
}

TEST(ReferenceChain, AnglesLieBetweenZeroAndAFullTurnAndAreTheLinks) {
  const auto heat_bath = heat_bath_reference(1, small(), 0.1, 1, key());
  const auto hmc = u1_chain(0.1, {.length = 3});
  HeatBath<1> links(small(), 0.1, key());
  double lowest = 10, highest = 0;
  for (int i = 0; i < 100; ++i) {
    heat_bath->step();
    hmc->step();
    links.sweep(1);
    for (std::size_t k = 0; k < 16; ++k) {
      EXPECT_NEAR(std::cos(heat_bath->field()[k]), links.links()[k].re(0, 0), 1e-14);
      EXPECT_NEAR(std::sin(heat_bath->field()[k]), links.links()[k].im(0, 0), 1e-14);
      for (const double angle : {heat_bath->field()[k], hmc->field()[k]}) {
        lowest = std::min(lowest, angle);
        highest = std::max(highest, angle);
      }
    }
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(lowest, 0.1);
  EXPECT_LT(highest, 2 * std::numbers::pi);
  EXPECT_GT(highest, 2 * std::numbers::pi - 0.1);
}

TEST(ReferenceChain, MatricesAreTheLinks) {
  const auto chain = heat_bath_reference(3, small(), 4, 2, key());
  HeatBath<3> links(small(), 4, key());
  chain->thermalise(3);
  chain->step();
  for (int i = 0; i < 4; ++i) links.sweep(2);
  const auto field = chain->field();
  for (std::size_t link = 0; link < 16; ++link) {
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {
        const std::size_t component = link / 8 * 18 + 2 * (3 * i + j);
        EXPECT_EQ(field[component * 8 + link % 8], links.links()[link].re(i, j));
        EXPECT_EQ(field[(component + 1) * 8 + link % 8], links.links()[link].im(i, j));
      }
    }
  }
}

TEST(ReferenceChain, HmcCountsWhatItAcceptsSinceItWasThermalised) {
  const auto chain = phi4_chain({8, 8}, {.length = 1, .steps = 2}, NoiseKey::from("accepted"));
  EXPECT_EQ(chain->acceptance(), 1);
  int moved = 0;
  for (int i = 0; i < 50; ++i) {
    const Field before = copy(chain->field());
    chain->step();
    moved += before != copy(chain->field());
  }
  EXPECT_LT(moved, 50);
  EXPECT_EQ(chain->acceptance(), moved / 50.);
  chain->thermalise(20);
  EXPECT_EQ(chain->acceptance(), 1);
}

TEST(ReferenceChain, TheHeatBathAcceptsEverything) {
  const auto chain = heat_bath_reference(2, small(), 4, 2, key());
  chain->step();
  EXPECT_EQ(chain->acceptance(), 1);
}

TEST(ReferenceChain, SaysWhatItIs) {
  const HmcOptions options{.length = 0.5, .steps = 7, .integrator = Integrator::kLeapfrog};
  EXPECT_EQ(u1_chain(1, options)->algorithm(), "HMC, leapfrog, 7 steps in a trajectory of length 0.5");
  EXPECT_EQ(phi4_chain({4}, kHmc, key())->algorithm(), "HMC, 2MN, 10 steps in a trajectory of length 1");
  EXPECT_EQ(heat_bath_reference(3, small(), 4, 2, key())->algorithm(), "heat bath with 2 sweeps of overrelaxation");
  EXPECT_EQ(heat_bath_reference(3, small(), 4, 1, key())->algorithm(), "heat bath with 1 sweep of overrelaxation");
}

TEST(ReferenceChain, RefusesColoursThatItDoesNotHave) {
  EXPECT_EQ(sentence_of([] { heat_bath_reference(4, small(), 1, 1, key()); }),
            "The heat bath is for U(1) (1 colour), SU(2) and SU(3), not for 4 colours.");
}

}  // namespace
}  // namespace flowloom
