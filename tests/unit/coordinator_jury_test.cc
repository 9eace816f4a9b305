#include "coordinator/jury.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kNever = std::numeric_limits<double>::infinity();  // a threshold above every weight
const NoiseKey kKey = NoiseKey::from("jury");

UnitData numbers(double value) { return {0, 1, {value, 0}, {0, 0}, {1, 2}}; }

class ExactnessRule9Jury : public testing::Test {
 protected:
  Jury::Finding heard(WorkerId worker, double value, bool alone = false) {
    return jury_.heard(7, worker, numbers(value), kNever, alone);
  }
  Jury jury_{kKey, 1.0, 0.0};  // every unit is drawn twice
};

TEST_F(ExactnessRule9Jury, IsCertainOnceTwoWorkersAgree) {
  EXPECT_FALSE(heard(1, 0.5).numbers);
  EXPECT_TRUE(jury_.has_drawn(1, 7));
  const auto finding = heard(2, 0.5);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.numbers->log_p[0], 0.5);
  EXPECT_EQ(finding.worker, 1u);
  EXPECT_EQ(finding.second, 2u);
  EXPECT_THAT(finding.wrong, IsEmpty());
  EXPECT_FALSE(jury_.has_drawn(1, 7)) << "it is decided";
  EXPECT_EQ(jury_.compared(1), 1u);
  EXPECT_EQ(jury_.compared(2), 1u);
}

TEST_F(ExactnessRule9Jury, IsDecidedByAThirdWorkerWhereTwoDisagree) {
  heard(1, 0.5);
  EXPECT_FALSE(heard(2, 0.75).numbers);
  const auto dispute = jury_.dispute();
  ASSERT_TRUE(dispute);
  EXPECT_EQ(dispute->unit, 7u);
  const auto finding = heard(3, 0.75);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.numbers->log_p[0], 0.75);
  EXPECT_EQ(finding.worker, 2u);
  EXPECT_EQ(finding.second, 3u);
  EXPECT_THAT(finding.wrong, ElementsAre(testing::Field(&Jury::Wrong::worker, 1u)));
  EXPECT_FALSE(jury_.dispute());
}

TEST_F(ExactnessRule9Jury, ComesToTheSameNumbersInWhateverOrder) {
  constexpr WorkerId kLiar = 2;
  std::array<WorkerId, 3> order{1, kLiar, 3};
  do {
    Jury jury(kKey, 1.0, 0.0);
    Jury::Finding finding;
    for (std::size_t i = 0; i < order.size() && !finding.numbers; ++i) {
      finding = jury.heard(7, order[i], numbers(order[i] == kLiar ? 9.0 : 0.5), kNever, false);
    }
    ASSERT_TRUE(finding.numbers);
    EXPECT_EQ(finding.numbers->log_p[0], 0.5);
    const bool found_out = order[2] != kLiar;  // two who agree are enough
    EXPECT_EQ(finding.wrong.size(), found_out ? 1u : 0u);
  } while (std::ranges::next_permutation(order).found);
}

TEST_F(ExactnessRule9Jury, FindsAWorkerWrongThatContradictsItself) {
  heard(1, 0.5);
  const auto finding = heard(1, 0.75);
  EXPECT_FALSE(finding.numbers);
  EXPECT_THAT(finding.wrong, ElementsAre(testing::Field(&Jury::Wrong::worker, 1u)));
  EXPECT_TRUE(jury_.may_draw(2, 7));
}

TEST_F(ExactnessRule9Jury, TakesTheSameTwiceFromAWorkerThatIsAlone) {
  EXPECT_FALSE(heard(1, 0.5, true).numbers);
  const auto finding = heard(1, 0.5, true);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, 1u);
  EXPECT_EQ(finding.second, 1u);
}

TEST_F(ExactnessRule9Jury, DoesNotTakeTheSameTwiceFromOneWhereAnotherDisagreed) {
  heard(1, 0.5);
  heard(2, 0.75);
  EXPECT_FALSE(heard(2, 0.75, true).numbers) << "the other one has left: it may have been right";
  EXPECT_FALSE(jury_.may_draw(2, 7)) << "nobody is asked more than twice";
  EXPECT_TRUE(jury_.may_draw(3, 7));
}

TEST_F(ExactnessRule9Jury, DoesNotTakeTheSameTwiceFromOneWhereOthersCouldDrawIt) {
  heard(1, 0.5);
  EXPECT_FALSE(heard(1, 0.5).numbers);
}

TEST_F(ExactnessRule9Jury, SettlesWhatOneDrewTwiceOnceNobodyElseCanDrawIt) {
  const auto nobody_else = [](WorkerId, UnitNumber) { return true; };
  const auto somebody_else = [](WorkerId, UnitNumber) { return false; };
  heard(1, 0.5);
  EXPECT_FALSE(jury_.settle(nobody_else)) << "it can be asked once more";
  heard(1, 0.5);
  EXPECT_FALSE(jury_.settle(somebody_else));
  const auto settled = jury_.settle(nobody_else);
  ASSERT_TRUE(settled);
  EXPECT_EQ(settled->first, 7u);
  EXPECT_EQ(settled->second.numbers->log_p[0], 0.5);
  EXPECT_EQ(settled->second.worker, 1u);
  EXPECT_EQ(settled->second.second, 1u);
  EXPECT_FALSE(jury_.settle(nobody_else)) << "it is decided";
}

TEST_F(ExactnessRule9Jury, SettlesNothingOnWhichTwoDisagree) {
  heard(2, 0.75);
  heard(1, 0.5), heard(1, 0.5);
  EXPECT_FALSE(jury_.settle([](WorkerId, UnitNumber) { return true; }));
}

TEST_F(ExactnessRule9Jury, ForgetsWhatAWorkerSaidThatWasProvedWrongElsewhere) {
  heard(1, 0.5);
  heard(2, 0.75);
  jury_.disbelieve(1);
  EXPECT_FALSE(jury_.dispute());
  EXPECT_FALSE(jury_.has_drawn(1, 7));
  EXPECT_FALSE(heard(3, 0.5).numbers) << "of the two that said so one counts no more";
  EXPECT_TRUE(heard(4, 0.75).numbers);
}

TEST_F(ExactnessRule9Jury, TakesAUnitForNewOnceNobodyCountsWhoAnswered) {
  Jury jury(kKey, 0.0, 0.0);  // only outliers are drawn twice
  EXPECT_FALSE(jury.heard(7, 1, numbers(0.5), 0.0, false).numbers);
  jury.disbelieve(1);
  EXPECT_TRUE(jury.heard(7, 2, numbers(0.25), kNever, false).numbers);
}

TEST_F(ExactnessRule9Jury, OfTheLogIsCertainOnceAnotherFindsWhatItHas) {
  jury_.logged(7, numbers(0.5), {9, 0});
  const auto finding = heard(2, 0.5);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, Jury::kLog);
  EXPECT_EQ(finding.second, 2u);
  EXPECT_THAT(finding.wrong, IsEmpty());
}

TEST_F(ExactnessRule9Jury, OfTheLogIsWrongOnceTwoAgreeOnSomethingElseAndTheLogIsNobody) {
  jury_.logged(7, numbers(0.5), {9, 0});
  EXPECT_FALSE(heard(2, 0.75).numbers);
  const auto finding = heard(3, 0.75);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.numbers->log_p[0], 0.75);
  EXPECT_EQ(finding.worker, 2u);
  EXPECT_THAT(finding.wrong, IsEmpty()) << "who drew it then is not named here";
}

TEST_F(ExactnessRule9Jury, OfTheLogBelievesThoseWhoFindWhatItHasAndNobodyElse) {
  jury_.logged(7, numbers(0.5), {9, 0});
  heard(2, 0.75);
  const auto finding = heard(3, 0.5);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, Jury::kLog);
  EXPECT_THAT(finding.wrong, ElementsAre(testing::Field(&Jury::Wrong::worker, 2u)));
}

TEST_F(ExactnessRule9Jury, OfTheLogTakesTheSameTwiceFromAWorkerThatIsAlone) {
  jury_.logged(7, numbers(0.5), {9, 0});
  EXPECT_FALSE(heard(2, 0.75, true).numbers);
  const auto finding = heard(2, 0.75, true);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, 2u);
}

TEST_F(ExactnessRule9Jury, OfTheLogIsNotProvedByWhoDrewItFirst) {
  jury_.logged(7, numbers(0.75), {9, 0});
  EXPECT_FALSE(heard(2, 0.5).numbers);
  EXPECT_FALSE(heard(9, 0.75).numbers) << "its own word once more";
  const auto finding = heard(3, 0.5);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, 2u);
  EXPECT_THAT(finding.wrong, ElementsAre(testing::Field(&Jury::Wrong::worker, 9u)));
}

TEST_F(ExactnessRule9Jury, OfTheLogIsRightWhereTheTwoWhoDrewItAgreeOnceMore) {
  jury_.logged(7, numbers(0.5), {9, 8});
  EXPECT_FALSE(heard(9, 0.5).numbers);
  const auto finding = heard(8, 0.5);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, Jury::kLog);
}

TEST_F(ExactnessRule9Jury, OfTheLogStandsOnItsAuthorsWordWhereThatIsAlone) {
  jury_.logged(7, numbers(0.5), {9, 0});
  EXPECT_FALSE(heard(9, 0.5, true).numbers);
  const auto finding = heard(9, 0.5, true);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, Jury::kLog);
  EXPECT_EQ(finding.second, 0u) << "nobody else has seen it";
}

TEST_F(ExactnessRule9Jury, OfTheLogIsWrongWhereItsAuthorAloneFindsSomethingElseTwice) {
  jury_.logged(7, numbers(0.5), {9, 0});
  EXPECT_FALSE(heard(9, 0.75, true).numbers);
  const auto finding = heard(9, 0.75, true);
  ASSERT_TRUE(finding.numbers);
  EXPECT_EQ(finding.worker, 9u);
  EXPECT_THAT(finding.wrong, IsEmpty()) << "the log may be damaged";
}

TEST(Jury, BelievesAUnitThatIsDrawnOnce) {
  Jury jury(kKey, 0.0, 0.0);
  const auto finding = jury.heard(7, 1, numbers(0.5), kNever, false);
  EXPECT_TRUE(finding.numbers);
  EXPECT_EQ(finding.second, 0u);
}

TEST(Jury, DrawsTheAskedShareOfUnitsTwiceAndAlwaysTheSameOnes) {
  Jury one(kKey, 0.1, 0.0), other(kKey, 0.1, 0.0);
  int twice = 0;
  for (UnitNumber unit = 0; unit < 10000; ++unit) {
    const bool first = !one.heard(unit, 1, numbers(0.5), kNever, false).numbers;
    EXPECT_EQ(first, !other.heard(unit, 2, numbers(-3), kNever, false).numbers) << "whatever the numbers are";
    twice += first;
  }
  EXPECT_NEAR(twice, 1000, 120);  // four standard deviations
}

TEST(Jury, DrawsAUnitTwiceWhoseWeightIsAboveTheThreshold) {
  Jury jury(kKey, 0.0, 0.0);
  EXPECT_TRUE(jury.heard(1, 1, numbers(2.0), 2.0, false).numbers);
  EXPECT_FALSE(jury.heard(2, 1, numbers(2.5), 2.0, false).numbers);
}

TEST(Jury, DrawsAUnitTwiceThatHasNoValidProposal) {
  Jury jury(kKey, 0.0, 0.0);
  UnitData spoiled = numbers(0.5);
  spoiled.log_q[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(jury.heard(1, 1, spoiled, kNever, false).numbers) << "one of two is valid";
  spoiled.log_p[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(jury.heard(2, 1, spoiled, kNever, false).numbers);
}

TEST(Jury, ComparesEveryBitUnlessItIsGivenATolerance) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double tolerance : {0.0, 1e-9}) {
    Jury jury(kKey, 1.0, tolerance);
    jury.heard(1, 1, numbers(0.5), kNever, false);
    EXPECT_EQ(jury.heard(1, 2, numbers(0.5 + 1e-12), kNever, false).numbers.has_value(), tolerance > 0);
    jury.heard(2, 1, numbers(nan), kNever, false);
    EXPECT_TRUE(jury.heard(2, 2, numbers(nan), kNever, false).numbers);
  }
}

}  // namespace
}  // namespace flowloom
