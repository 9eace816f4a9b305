#include "lattice/references.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lattice/exact_2d.h"
#include "support.h"
#include "theory_cases.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const AnyTheory kPhi4 = theory_of_keys(phi4_keys({4, 4}, "m2 = -4.0, lambda = 8.0"));
const AnyTheory kU1 = theory_of_keys(u1_keys({4, 6}, 2));
const AnyTheory kSu3 = theory_of_keys("kind = 'su3', lattice = [4, 6], beta = 4");
const AnyTheory kSu2 = theory_of_keys("kind = 'su2', lattice = [4, 6], beta = 4");
const AnyTheory kSchwinger = theory_of_keys("kind = 'schwinger', lattice = [4, 6], beta = 2, kappa = 0.2");
const NoiseKey kKey = NoiseKey::from("references");

TEST(References, EveryTheoryHasAlgorithmsThatMakeChainsOfIt) {
  EXPECT_THAT(reference_algorithms(kPhi4), ElementsAre("hmc"));
  EXPECT_THAT(reference_algorithms(kU1), ElementsAre("heatbath", "hmc"));
  EXPECT_THAT(reference_algorithms(kSchwinger), ElementsAre("hmc"));
  EXPECT_THAT(reference_algorithms(kSu2), ElementsAre("heatbath"));
  EXPECT_THAT(reference_algorithms(kSu3), ElementsAre("heatbath"));
  const std::vector<AnyTheory> all{kPhi4, kU1, kSchwinger, kSu2, kSu3};
  for (std::size_t kind = 0; kind < std::variant_size_v<AnyTheory>; ++kind) {
    EXPECT_EQ(std::ranges::count(all, kind, &AnyTheory::index), 1) << theory_kinds()[kind].name;
  }
  for (const AnyTheory& theory : all) {
    for (const std::string& name : reference_algorithms(theory)) {
      const auto chain = make_reference(theory, name, kKey);
      chain->step();
      EXPECT_EQ(chain->field().size(), theory_variables(theory)) << name;
    }
  }
}

TEST(References, AutoIsTheFirst) {
  EXPECT_THAT(make_reference(kPhi4, "auto", kKey)->algorithm(), HasSubstr("HMC"));
  EXPECT_THAT(make_reference(kU1, "auto", kKey)->algorithm(), HasSubstr("heat bath"));
  EXPECT_THAT(make_reference(kU1, "hmc", kKey)->algorithm(), HasSubstr("HMC"));
}

TEST(References, AnAlgorithmThatATheoryLacksIsRefusedWithThoseItHas) {
  EXPECT_EQ(sentence_of([] { make_reference(kPhi4, "heatbath", kKey); }),
            "This theory has no reference by 'heatbath'; it has hmc.");
  EXPECT_EQ(sentence_of([] { make_reference(kU1, "magic", kKey); }),
            "This theory has no reference by 'magic'; it has heatbath or hmc.");
}

TEST(ExactValue, OfU1IsTheOneOfItsLatticeAndCoupling) {
  const Exact2d exact = Exact2d::u1(2);
  EXPECT_EQ(exact_value(kU1, "plaquette"), exact.wilson_loop(1, 24));
  EXPECT_EQ(exact_value(kU1, "wilson_1x2"), exact.wilson_loop(2, 24));
  EXPECT_EQ(exact_value(kU1, "wilson_2x2"), exact.wilson_loop(4, 24));
  EXPECT_EQ(exact_value(kU1, "wilson_3x3"), exact.wilson_loop(9, 24));
  EXPECT_EQ(exact_value(kU1, "chi_q"), u1_susceptibility(2, 24));
  EXPECT_EQ(exact_value(kU1, "action"), -48 * exact.wilson_loop(1, 24));
  EXPECT_EQ(exact_value(kU1, "charge"), 0);
  EXPECT_NEAR(exact_value(kU1, kLogZ).value(), exact.log_z(24) + 48 * std::log(2 * std::numbers::pi), 1e-12);
  EXPECT_EQ(exact_value(kU1, "abs_polyakov"), std::nullopt);
}

TEST(ExactValue, OfMatricesIsTheOneOfTheirGroup) {
  EXPECT_EQ(exact_value(kSu3, kLogZ), Exact2d::su3(4).log_z(24));
  EXPECT_EQ(exact_value(kSu3, "plaquette"), Exact2d::su3(4).wilson_loop(1, 24));
  EXPECT_EQ(exact_value(kSu3, "action"), -4 * 24 * Exact2d::su3(4).wilson_loop(1, 24));
  EXPECT_EQ(exact_value(kSu3, "polyakov"), 0);
  EXPECT_EQ(exact_value(kSu2, "wilson_3x3"), Exact2d::su2(4).wilson_loop(9, 24));
}

// What the chain's own field gives, which is laid out as the theory's.
TEST(References, ChainsOfMatricesHaveTheTheorysPlaquette) {
  const auto chain = make_reference(kSu3, "auto", kKey);
  chain->thermalise(100);
  double mean = 0;
  for (int i = 0; i < 2000; ++i) {
    chain->step();
    const auto sums = theory_sums_of(kSu3, chain->field());
    mean += find_observable(kSu3, "plaquette").value(theory_log_p(kSu3, sums), sums) / 2000;
  }
  EXPECT_NEAR(mean, *exact_value(kSu3, "plaquette"), 0.01);
}

TEST(ExactValue, IsAbsentBeyondTheCouplingsThatTheFormulaIsMeasuredFor) {
  const AnyTheory theory = theory_of_keys(u1_keys({4, 4}, 50.5));
  for (const char* name : {"plaquette", "chi_q", "action", "wilson_2x2"})
    EXPECT_EQ(exact_value(theory, name), std::nullopt);
}

TEST(ExactValue, OfPhi4IsItsSymmetryAlone) {
  EXPECT_EQ(exact_value(kPhi4, "m"), 0);
  EXPECT_EQ(exact_value(kPhi4, "chi2"), std::nullopt);
}

}  // namespace
}  // namespace flowloom
