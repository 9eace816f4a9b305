// Who reweighs the chain's current state.
#include "coordinator/reweighing.h"

#include <gtest/gtest.h>

#include <vector>

namespace flowloom {
namespace {

constexpr Time kLease{5000};

class ReweighingTest : public testing::Test {
 protected:
  std::optional<WorkerId> grant(Time now = Time{0}) { return reweighing_.grant(able_, now); }

  std::vector<WorkerId> able_{2, 3, 7};
  Reweighing reweighing_{11, 4, kLease};  // of state 11 under version 4
};

TEST_F(ReweighingTest, IsLeasedToOneWorkerAtATime) {
  EXPECT_EQ(grant(), 2u);
  EXPECT_FALSE(reweighing_.wanted());
  EXPECT_FALSE(grant());
}

TEST_F(ReweighingTest, IsLeasedToNobodyWhereNobodyCanComputeIt) {
  able_.clear();
  EXPECT_FALSE(grant());
  EXPECT_TRUE(reweighing_.wanted());
}

TEST_F(ReweighingTest, GoesToTheNextInTurnWhenItsLeaseExpires) {
  Time now{0};
  for (const WorkerId next : {2, 3, 7, 2}) {
    EXPECT_EQ(grant(now), next);
    reweighing_.expire(now + kLease - Time{1});
    EXPECT_FALSE(reweighing_.wanted());
    reweighing_.expire(now += kLease);
  }
}

TEST_F(ReweighingTest, GoesToTheNextInTurnAfterAFailureAndCountsThoseOfWhoHadIt) {
  grant();
  EXPECT_EQ(reweighing_.failed(3), 0) << "it had no lease";
  EXPECT_EQ(reweighing_.failed(2), 1);
  EXPECT_EQ(reweighing_.failed(2), 0) << "the same once more";
  EXPECT_EQ(grant(), 3u);
  EXPECT_EQ(reweighing_.failed(3), 2);
}

TEST_F(ReweighingTest, GoesToTheNextInTurnWhenItsOwnLeft) {
  grant();
  reweighing_.left(7);
  EXPECT_FALSE(reweighing_.wanted());
  reweighing_.left(2);
  able_ = {3, 7};
  EXPECT_EQ(grant(), 3u);
}

TEST_F(ReweighingTest, AwaitsAnAnswerOfWhomeverItAsked) {
  EXPECT_FALSE(reweighing_.awaits(2, 11, 4)) << "nobody is yet";
  grant();
  reweighing_.expire(kLease);
  grant(kLease);
  EXPECT_TRUE(reweighing_.awaits(2, 11, 4)) << "late";
  EXPECT_TRUE(reweighing_.awaits(3, 11, 4));
  EXPECT_FALSE(reweighing_.awaits(7, 11, 4)) << "not asked";
  EXPECT_FALSE(reweighing_.awaits(3, 12, 4)) << "another state";
  EXPECT_FALSE(reweighing_.awaits(3, 11, 5)) << "another version";
}

TEST_F(ReweighingTest, TakesTheFirstAnswer) {
  grant();
  reweighing_.answered(-1.5);
  EXPECT_EQ(reweighing_.log_q(), -1.5);
  EXPECT_FALSE(reweighing_.awaits(2, 11, 4));
  reweighing_.expire(kLease);
  EXPECT_FALSE(reweighing_.wanted());
  EXPECT_FALSE(grant(kLease));
}

}  // namespace
}  // namespace flowloom
