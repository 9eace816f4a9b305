#include "chain/chain.h"

#include <gtest/gtest.h>

#include "chain_cases.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

const NoiseKey kKey = NoiseKey::from("chain test");

UnitData unit(std::uint64_t first, std::vector<double> log_p, std::vector<double> log_q) {
  return {first, 1, std::move(log_p), std::move(log_q), {}};
}

// Weights far below, equal to and far above each other.
std::vector<double> random_numbers(const std::string& name, std::uint64_t first, std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t k = 0; k < count; ++k) {
    double z[1];
    fill_normal(NoiseKey::from(name), Purpose::kBase, first + k, z);
    values[k] = 2.0 * z[0];
  }
  return values;
}

// A log-weight that proposal `index` may have to be accepted by `margin` over a state of log-weight 0.
double log_weight_with_margin(std::uint64_t index, double margin) { return accept_log_u(kKey, index) + margin; }

// --------------------------------------------------------------------------------------------------- rule 1

TEST(ExactnessRule1, AProposalIsAcceptedIfLogUIsBelowTheDifferenceOfLogWeights) {
  constexpr std::size_t kCount = 5000;
  const UnitData data = unit(0, random_numbers("p", 0, kCount), random_numbers("q", 0, kCount));
  Chain chain(kKey);
  const auto accepted = chain.advance(data);
  std::size_t current = 0;
  EXPECT_EQ(accepted[0], 1);
  std::size_t count = 1;
  for (std::size_t i = 1; i < kCount; ++i) {
    const double delta = (data.log_p[i] - data.log_q[i]) - (data.log_p[current] - data.log_q[current]);
    ASSERT_EQ(accepted[i] != 0, accept_log_u(kKey, i) < delta) << i;
    if (accepted[i]) current = i;
    count += accepted[i];
  }
  EXPECT_GT(count, 100u);
  EXPECT_LT(count, kCount - 100);
  EXPECT_EQ(chain.current()->index, current);
  EXPECT_EQ(chain.frontier(), kCount);
}

TEST(ExactnessRule1, TheUniformIsAddressedByTheIndexHoweverProposalsAreCutIntoUnits) {
  const std::vector<double> log_p = random_numbers("p", 0, 60), log_q = random_numbers("q", 0, 60);
  Chain whole(kKey);
  const auto expected = whole.advance(unit(0, log_p, log_q));
  for (const std::size_t size : {1, 3, 20}) {
    Chain chain(kKey);
    std::vector<std::uint8_t> accepted;
    for (std::size_t first = 0; first < 60; first += size) {
      const auto cut = [&](const std::vector<double>& all) {
        return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(first),
                                   all.begin() + static_cast<std::ptrdiff_t>(first + size));
      };
      const auto flags = chain.advance(unit(first, cut(log_p), cut(log_q)));
      accepted.insert(accepted.end(), flags.begin(), flags.end());
    }
    EXPECT_EQ(accepted, expected);
  }
}

TEST(ExactnessRule1, AnotherKeyDecidesOtherwise) {
  const UnitData data = unit(0, random_numbers("p", 0, 200), random_numbers("q", 0, 200));
  EXPECT_NE(Chain(kKey).advance(data), Chain(NoiseKey::from("another")).advance(data));
}

TEST(ExactnessRule1, TheChainStartsAtTheFirstValidProposalHoweverSmallItsWeight) {
  Chain chain(kKey);
  const auto accepted = chain.advance(unit(0, {kNan, -kInfinity, -700.0, -700.0}, {0.0, 0.0, 700.0, -kInfinity}));
  EXPECT_EQ(accepted, (std::vector<std::uint8_t>{0, 0, 1, 0}));
  EXPECT_EQ(chain.current()->index, 2u);
}

TEST(ExactnessRule1, AChainOfInvalidProposalsHasNoState) {
  Chain chain(kKey);
  EXPECT_EQ(chain.advance(unit(0, {kNan, 0.0}, {0.0, kInfinity})), (std::vector<std::uint8_t>{0, 0}));
  EXPECT_FALSE(chain.current());
  EXPECT_EQ(chain.frontier(), 2u);
}

TEST(ExactnessRule1, AStateKeepsTheNameAndNumbersOfItsProposal) {
  Chain chain(kKey);
  UnitData data = unit(0, {-1.0}, {-3.0});
  data.version = 5;
  chain.advance(data);
  EXPECT_EQ(chain.current()->version, 5u);
  EXPECT_EQ(chain.current()->log_p, -1.0);
  EXPECT_EQ(chain.current()->log_q, -3.0);
  EXPECT_EQ(chain.current()->drawn_log_q, -3.0);
  EXPECT_EQ(chain.current()->log_w(), 2.0);
}

TEST(Chain, RefusesAUnitOutOfOrder) {
  Chain chain(kKey);
  chain.advance(unit(0, {0.0}, {0.0}));
  EXPECT_THROW(chain.advance(unit(0, {0.0}, {0.0})), Error);
  EXPECT_THROW(chain.advance(unit(2, {0.0}, {0.0})), Error);
  const std::vector<std::uint8_t> flags{0};
  EXPECT_THROW(chain.follow(unit(2, {0.0}, {0.0}), flags), Error);
}

// --------------------------------------------------------------------------------------------------- rule 2

struct Pair {
  double log_p, log_q;
  bool valid;
};

void PrintTo(const Pair& pair, std::ostream* out) { *out << "log_p " << pair.log_p << ", log_q " << pair.log_q; }

class ExactnessRule2 : public testing::TestWithParam<Pair> {};

TEST_P(ExactnessRule2, IsInvalidIfItSaysSo) {
  EXPECT_EQ(stats::is_valid_proposal(GetParam().log_p, GetParam().log_q), GetParam().valid);
}

TEST_P(ExactnessRule2, NeverStartsAChain) {
  Chain chain(kKey);
  EXPECT_EQ(chain.advance(unit(0, {GetParam().log_p}, {GetParam().log_q}))[0], 0);
}

TEST_P(ExactnessRule2, NeverReplacesAState) {
  Chain chain(kKey);
  chain.advance(unit(0, {-1e300}, {1e300}));  // of the smallest weight there is
  EXPECT_EQ(chain.advance(unit(1, {GetParam().log_p}, {GetParam().log_q}))[0], 0);
  EXPECT_EQ(chain.current()->index, 0u);
}

INSTANTIATE_TEST_SUITE_P(Everything, ExactnessRule2,
                         testing::Values(Pair{kNan, 0, false}, Pair{kNan, kNan, false}, Pair{kNan, kInfinity, false},
                                         Pair{kNan, -kInfinity, false}, Pair{0, kNan, false},
                                         Pair{kInfinity, kNan, false}, Pair{-kInfinity, kNan, false},
                                         Pair{kInfinity, 0, false}, Pair{kInfinity, kInfinity, false},
                                         Pair{kInfinity, -kInfinity, false}, Pair{0, kInfinity, false},
                                         Pair{0, -kInfinity, false}, Pair{-kInfinity, kInfinity, false},
                                         Pair{-kInfinity, -kInfinity, false},
                                         Pair{1e308, -1e308, false},  // the difference is +inf
                                         Pair{-kInfinity, 0, true},   // a plain rejection
                                         Pair{-kInfinity, 1e308, true}));

TEST(ExactnessRule2, FiniteNumbersAreValid) {
  EXPECT_TRUE(stats::is_valid_proposal(-1e308, 1e308));
  EXPECT_TRUE(stats::is_valid_proposal(0, 0));
  EXPECT_TRUE(stats::is_valid_proposal(1e308, 1e308));
}

TEST(ExactnessRule2, AnInvalidProposalLeavesTheChainWhereItWas) {
  const std::vector<double> log_p = random_numbers("p", 0, 40), log_q = random_numbers("q", 0, 40);
  std::vector<double> spoiled = log_p;
  Chain good(kKey), chain(kKey);
  const auto expected = good.advance(unit(0, log_p, log_q));
  for (std::size_t i = 0; i < 40; ++i) {
    if (!expected[i]) spoiled[i] = i % 2 ? kNan : -kInfinity;  // it was rejected anyhow
  }
  EXPECT_EQ(chain.advance(unit(0, spoiled, log_q)), expected);
}

// --------------------------------------------------------------------------------------- follow against advance

TEST(ChainFollow, AgreesWithAdvance) {
  const UnitData data = unit(0, random_numbers("p", 0, 500), random_numbers("q", 0, 500));
  Chain one(kKey), other(kKey);
  const auto accepted = one.advance(data);
  EXPECT_EQ(other.follow(data, accepted), std::nullopt);
  EXPECT_EQ(other.frontier(), one.frontier());
  EXPECT_EQ(other.current()->index, one.current()->index);
}

TEST(ChainFollow, FindsEveryFlippedFlag) {
  const UnitData data = unit(0, random_numbers("p", 0, 200), random_numbers("q", 0, 200));
  const auto accepted = Chain(kKey).advance(data);
  for (std::size_t k = 0; k < 200; ++k) {
    auto flipped = accepted;
    flipped[k] ^= 1;
    ASSERT_EQ(Chain(kKey).follow(data, flipped), k);
  }
}

TEST(ChainFollow, LetsAnUndecidedFlagStandEitherWay) {
  for (const double margin : {5e-13, 0.0, -5e-13}) {
    for (const std::uint8_t flag : {std::uint8_t{0}, std::uint8_t{1}}) {
      Chain chain(kKey);
      chain.advance(unit(0, {0.0}, {0.0}));
      const std::vector<std::uint8_t> flags{flag};
      EXPECT_EQ(chain.follow(unit(1, {log_weight_with_margin(1, margin)}, {0.0}), flags), std::nullopt) << margin;
      EXPECT_EQ(chain.current()->index, flag);
    }
  }
}

TEST(ChainFollow, IsDecidedJustOutsideTheUndecidedMargin) {
  for (const double margin : {2e-12, -2e-12}) {
    Chain chain(kKey);
    chain.advance(unit(0, {0.0}, {0.0}));
    const std::vector<std::uint8_t> wrong{static_cast<std::uint8_t>(margin < 0)};
    EXPECT_EQ(chain.follow(unit(1, {log_weight_with_margin(1, margin)}, {0.0}), wrong), 0u) << margin;
  }
}

TEST(ChainFollow, FindsAnAcceptedInvalidProposal) {
  for (const Pair& pair : {Pair{kNan, 0, false}, Pair{0, -kInfinity, false}, Pair{-kInfinity, 0, true}}) {
    Chain chain(kKey);
    const std::vector<std::uint8_t> flags{1, 0};
    EXPECT_EQ(chain.follow(unit(0, {pair.log_p, 0.0}, {pair.log_q, 0.0}), flags), 0u);
  }
}

TEST(ChainFollow, FindsARejectedStartState) {
  const std::vector<std::uint8_t> flags{0};
  EXPECT_EQ(Chain(kKey).follow(unit(0, {0.0}, {0.0}), flags), 0u);
}

TEST(ChainFollow, DecidesEvenAgainstAStateWhoseWeightIsNotANumber) {
  Chain chain(kKey);
  chain.advance(unit(0, {0.0}, {0.0}));
  chain.reweigh(kNan);
  const std::vector<std::uint8_t> flags{1};
  EXPECT_EQ(chain.follow(unit(1, {0.0}, {0.0}), flags), 0u);
}

// ------------------------------------------------------------------------------------------------------ reweigh

TEST(ExactnessRule4, AReweighReplacesTheCurrentStatesLogQAndNothingElse) {
  Chain chain(kKey);
  chain.advance(unit(0, {-1.0}, {-3.0}));
  chain.reweigh(-2.0);
  EXPECT_EQ(chain.current()->log_q, -2.0);
  EXPECT_EQ(chain.current()->drawn_log_q, -3.0);
  EXPECT_EQ(chain.current()->log_p, -1.0);
  EXPECT_EQ(chain.current()->index, 0u);
  EXPECT_EQ(chain.frontier(), 1u);
}

TEST(ExactnessRule4, TheNextProposalIsTestedAgainstTheReweighedState) {
  const double log_w = log_weight_with_margin(1, 0.1);  // accepted against log-weight 0, rejected against 0.2
  for (const double shift : {0.0, 0.2}) {
    Chain chain(kKey);
    chain.advance(unit(0, {0.0}, {0.0}));
    chain.reweigh(-shift);
    EXPECT_EQ(chain.advance(unit(1, {log_w}, {0.0}))[0], shift == 0.0);
  }
}

TEST(Chain, IgnoresAReweighBeforeItsStart) {
  Chain chain(kKey);
  chain.reweigh(3.0);
  EXPECT_FALSE(chain.current());
}

}  // namespace
}  // namespace flowloom
