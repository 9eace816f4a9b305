#include "coordinator/unit_ledger.h"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

using Verdict = UnitLedger::Verdict;

constexpr Time kLease{100};
constexpr UnitNumber kEnd = 1000;

class UnitLedgerTest : public testing::Test {
 protected:
  std::optional<UnitNumber> grant(WorkerId worker, Time now = Time{0}, UnitNumber end = kEnd) {
    return ledger_.grant(worker, end, connected_, may_serve_, now);
  }

  UnitLedger ledger_{0, 4, kLease};
  std::vector<WorkerId> connected_{1, 2, 3};
  UnitLedger::MayServe may_serve_ = [](WorkerId, UnitNumber) { return true; };
};

TEST_F(UnitLedgerTest, GrantsUnitsInOrderUpToTheWindow) {
  for (UnitNumber unit = 0; unit < 4; ++unit) EXPECT_EQ(grant(1), unit);
  EXPECT_EQ(grant(1), std::nullopt);
  EXPECT_EQ(ledger_.next_fresh(), 4u);
}

TEST_F(UnitLedgerTest, HasWorkWhileAUnitIsFreshOrWanted) {
  EXPECT_TRUE(ledger_.has_work(kEnd));
  EXPECT_FALSE(ledger_.has_work(0));
  for (int i = 0; i < 4; ++i) grant(1);
  EXPECT_FALSE(ledger_.has_work(kEnd)) << "the window is full";
  ledger_.failed(1, 2);
  EXPECT_TRUE(ledger_.has_work(kEnd));
  EXPECT_FALSE(ledger_.has_work(2));
  ledger_.answered(2);
  EXPECT_FALSE(ledger_.has_work(kEnd));
  ledger_.left(1);
  EXPECT_TRUE(ledger_.has_work(kEnd));
}

TEST_F(UnitLedgerTest, OpensTheWindowByOneForEachCommittedUnit) {
  for (int i = 0; i < 4; ++i) grant(1);
  ledger_.answered(0);
  EXPECT_EQ(grant(1), std::nullopt);  // answered is not committed
  ledger_.committed();
  EXPECT_EQ(grant(1), 4u);
  EXPECT_EQ(grant(1), std::nullopt);
}

TEST_F(UnitLedgerTest, GrantsNothingAtOrAboveTheEnd) {
  EXPECT_EQ(grant(1, Time{0}, 2), 0u);
  EXPECT_EQ(grant(1, Time{0}, 2), 1u);
  EXPECT_EQ(grant(1, Time{0}, 2), std::nullopt);
}

TEST_F(UnitLedgerTest, GrantsNoExpiredUnitAboveAnEndThatMovedDown) {
  grant(1);
  grant(1);
  ledger_.expire(kLease);
  EXPECT_EQ(grant(2, kLease, 1), 0u);
  EXPECT_EQ(grant(2, kLease, 1), std::nullopt);
}

TEST_F(UnitLedgerTest, StopsAtTheFirstFreshUnitThatAWorkerMayNotServe) {
  may_serve_ = [](WorkerId, UnitNumber unit) { return unit != 1; };
  EXPECT_EQ(grant(1), 0u);
  EXPECT_EQ(grant(1), std::nullopt);
}

TEST_F(UnitLedgerTest, LeasesARunningUnitToNobodyElse) {
  grant(1);
  EXPECT_EQ(grant(2), 1u);
}

TEST_F(UnitLedgerTest, LeasesAnExpiredUnitToASecondWorkerBeforeAnythingFresh) {
  grant(1);
  EXPECT_EQ(ledger_.expire(kLease), (std::vector<std::pair<UnitNumber, WorkerId>>{{0, 1}}));
  EXPECT_EQ(grant(2, kLease), 0u);
}

TEST_F(UnitLedgerTest, ExpiresALeaseOnceAndNotBeforeItsTime) {
  grant(1);
  EXPECT_TRUE(ledger_.expire(kLease - Time{1}).empty());
  EXPECT_EQ(ledger_.expire(kLease).size(), 1u);
  EXPECT_TRUE(ledger_.expire(kLease).empty());
}

TEST_F(UnitLedgerTest, LeasesAUnitToAtMostTwoWorkersAtATime) {
  grant(1);
  ledger_.expire(kLease);
  grant(2, kLease);
  EXPECT_EQ(grant(3, kLease), 1u);
}

TEST_F(UnitLedgerTest, LetsAThirdWorkerTryWhenTwoLeasesExpired) {
  grant(1);
  ledger_.expire(kLease);
  grant(2, kLease);
  ledger_.expire(2 * kLease);
  EXPECT_EQ(grant(3, 2 * kLease), 0u);
}

TEST_F(UnitLedgerTest, GivesNobodyASecondLeaseOfAUnitThatHeStillWorksOn) {
  grant(1);
  ledger_.expire(kLease);
  EXPECT_EQ(grant(1, kLease), 1u);
}

TEST_F(UnitLedgerTest, GivesAUnitToTheSameWorkerAgainOnceItsLeaseIsGivenUp) {
  grant(1);
  EXPECT_EQ(ledger_.expire(2 * kLease - Time{1}).size(), 1u);
  EXPECT_EQ(ledger_.leased(1), 1u);
  ledger_.expire(2 * kLease);
  EXPECT_EQ(ledger_.leased(1), 0u);
  EXPECT_EQ(grant(1, 2 * kLease), 0u);
}

// Both have let a unit expire, and neither has room for the other's.
TEST_F(UnitLedgerTest, TwoWorkersWhoseAnswersWereLostDoNotWaitForEachOther) {
  grant(1);
  grant(2);
  ledger_.expire(kLease);
  ledger_.expire(2 * kLease);
  EXPECT_EQ(ledger_.leased(1), 0u);
  EXPECT_EQ(ledger_.leased(2), 0u);
  EXPECT_EQ(grant(1, 2 * kLease), 0u);
  EXPECT_EQ(grant(2, 2 * kLease), 1u);
}

TEST_F(UnitLedgerTest, CountsExpiredLeasesAgainstTheWorkerButNotAgainstTheEndOfADrain) {
  grant(1);
  ledger_.expire(kLease);
  EXPECT_EQ(ledger_.leased(1), 1u);
  EXPECT_EQ(ledger_.running(), 0u);
}

TEST_F(UnitLedgerTest, ReturnsTheUnitsOfALostWorkerAtOnce) {
  grant(1);
  grant(1);
  ledger_.left(1);
  EXPECT_EQ(ledger_.leased(1), 0u);
  EXPECT_EQ(grant(2), 0u);
  EXPECT_EQ(grant(2), 1u);
}

TEST_F(UnitLedgerTest, TakesTheFirstOfTwoAnswers) {
  grant(1);
  EXPECT_EQ(ledger_.answered(0), Verdict::kNew);
  EXPECT_EQ(ledger_.answered(0), Verdict::kSame);
}

TEST_F(UnitLedgerTest, TakesALateAnswerAfterItsLeaseExpired) {
  grant(1);
  ledger_.expire(kLease);
  EXPECT_EQ(ledger_.answered(0), Verdict::kNew);
  EXPECT_EQ(grant(2, kLease), 1u);
}

TEST_F(UnitLedgerTest, DropsAnAnswerBelowTheFrontier) {
  grant(1);
  ledger_.answered(0);
  ledger_.committed();
  EXPECT_EQ(ledger_.answered(0), Verdict::kSame);
}

TEST_F(UnitLedgerTest, RefusesAnAnswerAboveTheWindow) {
  EXPECT_EQ(ledger_.answered(3), Verdict::kNew);
  EXPECT_EQ(ledger_.answered(4), Verdict::kNotInWindow);
}

TEST_F(UnitLedgerTest, GrantsTheGapBelowAnAnswerFromBeforeARestart) {
  EXPECT_EQ(ledger_.answered(2), Verdict::kNew);
  EXPECT_EQ(grant(1), 0u);
  EXPECT_EQ(grant(1), 1u);
  EXPECT_EQ(grant(1), 3u);
  EXPECT_EQ(ledger_.next_fresh(), 4u);
}

TEST_F(UnitLedgerTest, ReturnsTheLeasesOfAnAnsweredUnit) {
  grant(1);
  ledger_.answered(0);
  EXPECT_EQ(ledger_.leased(1), 0u);
}

TEST_F(UnitLedgerTest, GivesAFailedUnitToAnotherWorker) {
  grant(1);
  EXPECT_EQ(ledger_.failed(1, 0), 1);
  EXPECT_EQ(grant(1), 1u);
  EXPECT_EQ(grant(2), 0u);
}

TEST_F(UnitLedgerTest, GivesAFailedUnitToTheSameWorkerIfThereIsNoOther) {
  connected_ = {1};
  grant(1);
  ledger_.failed(1, 0);
  EXPECT_EQ(grant(1), 0u);
}

TEST_F(UnitLedgerTest, GivesAFailedUnitToTheSameWorkerIfNoOtherMayServeIt) {
  may_serve_ = [](WorkerId worker, UnitNumber) { return worker == 1; };
  grant(1);
  ledger_.failed(1, 0);
  EXPECT_EQ(grant(1), 0u);
}

TEST_F(UnitLedgerTest, ShunsAWorkerThatFailedUntilEveryConnectedOneTried) {
  grant(1);
  ledger_.failed(1, 0);
  ledger_.left(1);  // it left, and came back as worker 4
  connected_ = {2, 4};
  EXPECT_EQ(grant(4), 0u);
  ledger_.failed(4, 0);
  EXPECT_EQ(grant(4), 1u);  // two have failed, but worker 2 has not tried
  EXPECT_EQ(grant(2), 0u);
}

TEST_F(UnitLedgerTest, GivesAFailedUnitToTheSameWorkerIfTheOtherLetItExpire) {
  connected_ = {1, 2};
  grant(1);
  ledger_.failed(1, 0);
  EXPECT_EQ(grant(2), 0u);
  ledger_.expire(kLease);
  EXPECT_EQ(grant(1, kLease), 0u);
}

TEST_F(UnitLedgerTest, CountsFailures) {
  connected_ = {1};
  for (int count = 1; count <= 3; ++count) {
    EXPECT_EQ(grant(1), 0u);
    EXPECT_EQ(ledger_.failed(1, 0), count);
  }
}

TEST_F(UnitLedgerTest, CountsNoFailureOfAWorkerThatHoldsNoLease) {
  grant(1);
  EXPECT_EQ(ledger_.failed(2, 0), 0);
  EXPECT_EQ(ledger_.failed(1, 3), 0);
  EXPECT_EQ(ledger_.failed(1, 0), 1);
}

TEST_F(UnitLedgerTest, CountsNoFailureOfAnAnsweredUnit) {
  grant(1);
  ledger_.answered(0);
  EXPECT_EQ(ledger_.failed(1, 0), 0);
}

TEST_F(UnitLedgerTest, GivesAUnitThatIsDrawnAgainToAnotherWorkerFirst) {
  grant(1);
  ledger_.again(0, 1);
  EXPECT_EQ(ledger_.leased(1), 0u);
  EXPECT_EQ(grant(1), 1u);
  EXPECT_EQ(grant(2), 0u);
}

TEST_F(UnitLedgerTest, GivesAUnitThatIsDrawnAgainToTheSameWorkerIfThereIsNoOther) {
  connected_ = {1};
  grant(1);
  ledger_.again(0, 1);
  EXPECT_EQ(grant(1), 0u);
}

TEST_F(UnitLedgerTest, WantsAnAnsweredUnitAgainWhoseNumbersAreBelievedNoMore) {
  grant(1);
  ledger_.answered(0);
  ledger_.again(0, 1);
  EXPECT_EQ(ledger_.verdict(0), Verdict::kNew);
  EXPECT_EQ(grant(2), 0u);
}

TEST_F(UnitLedgerTest, LeavesAnothersLeaseOfAUnitThatIsDrawnAgain) {
  grant(1);
  ledger_.expire(kLease);
  grant(2, kLease);
  ledger_.again(0, 1);
  EXPECT_TRUE(ledger_.holds(2, 0));
  EXPECT_EQ(grant(3, kLease), 1u) << "worker 2 is drawing it";
}

TEST_F(UnitLedgerTest, AWorkerHoldsALeaseUntilItIsGivenUp) {
  EXPECT_FALSE(ledger_.holds(1, 0));
  grant(1);
  EXPECT_TRUE(ledger_.holds(1, 0));
  EXPECT_FALSE(ledger_.holds(2, 0));
  ledger_.expire(kLease);
  EXPECT_TRUE(ledger_.holds(1, 0));
  ledger_.expire(2 * kLease);
  EXPECT_FALSE(ledger_.holds(1, 0));
}

TEST_F(UnitLedgerTest, StartsAtTheFrontierFoundInTheStore) {
  UnitLedger ledger(7, 2, kLease);
  EXPECT_EQ(ledger.grant(1, kEnd, connected_, may_serve_, Time{0}), 7u);
  EXPECT_EQ(ledger.answered(6), Verdict::kSame);
}

}  // namespace
}  // namespace flowloom
