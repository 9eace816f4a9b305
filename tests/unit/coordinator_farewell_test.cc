// Whom a coordinator waits for before it leaves.
#include "coordinator/farewell.h"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

constexpr Time kEnd{100000};  // there is nothing left to do
constexpr Time kMoment{1};

class FarewellTest : public testing::Test {
 protected:
  bool leaves(Time after_the_end) { return farewell_.may_leave(situation_, kEnd + after_the_end); }

  Farewell farewell_{false};
  Farewell::Situation situation_{.finished = true, .over = true};
};

TEST_F(FarewellTest, IsShortWhereNobodyIsThere) { EXPECT_TRUE(leaves(Time{0})); }

TEST_F(FarewellTest, IsNoneWhileThereIsSomethingToDo) {
  situation_.finished = false;
  EXPECT_FALSE(leaves(Farewell::kReaders));
  situation_.draining = true;
  EXPECT_FALSE(leaves(Farewell::kReaders));
}

TEST_F(FarewellTest, WaitsALittleForWhoIsConnected) {
  situation_.connected = true;
  EXPECT_FALSE(leaves(Time{0}));
  EXPECT_FALSE(leaves(Farewell::kPeers));
  EXPECT_TRUE(leaves(Farewell::kPeers + kMoment));
}

TEST_F(FarewellTest, EndsAsSoonAsTheLastHasLeft) {
  situation_.connected = true;
  EXPECT_FALSE(leaves(Time{0}));
  situation_.connected = false;
  EXPECT_TRUE(leaves(kMoment));
}

TEST_F(FarewellTest, WaitsALittleForATrainerAtWork) {
  farewell_.trainer_reported(true, kEnd);
  EXPECT_FALSE(leaves(Time{0}));
  EXPECT_FALSE(leaves(Farewell::kPeers));
  EXPECT_TRUE(leaves(Farewell::kPeers + kMoment));
}

TEST_F(FarewellTest, WaitsForNoTrainerThatWasToldOrIsSilentOrMayComeBack) {
  farewell_.trainer_reported(true, kEnd - Farewell::kTrainerSilence);
  EXPECT_TRUE(leaves(Time{0})) << "silent";
  farewell_.trainer_reported(true, kEnd);
  EXPECT_FALSE(leaves(Time{0}));
  farewell_.trainer_reported(false, kEnd);
  EXPECT_TRUE(leaves(kMoment)) << "told";
  farewell_.trainer_reported(true, kEnd);
  situation_.over = false;
  EXPECT_TRUE(leaves(kMoment)) << "the next coordinator of the run tells it";
}

TEST_F(FarewellTest, WaitsForAReaderAsLongAsItReads) {
  situation_.connected = true;
  Farewell::Reader reader = farewell_.reader(kEnd);
  EXPECT_FALSE(leaves(Time{0}));
  for (Time at{0}; at < Farewell::kReaders; at += limits::kSlowReader - kMoment) {
    reader.took(kEnd + at);
    EXPECT_FALSE(leaves(std::min(at + limits::kSlowReader - kMoment, Farewell::kReaders)));
  }
  EXPECT_TRUE(leaves(Farewell::kReaders + kMoment)) << "but not for good";
}

TEST_F(FarewellTest, WaitsForNoReaderThatTakesNothing) {
  situation_.connected = true;
  const Farewell::Reader reader = farewell_.reader(kEnd);
  EXPECT_FALSE(leaves(Time{0}));
  EXPECT_FALSE(leaves(limits::kSlowReader - kMoment));
  EXPECT_TRUE(leaves(limits::kSlowReader));
}

TEST_F(FarewellTest, WaitsForNoReaderThatHasLeft) {
  {
    const Farewell::Reader reader = farewell_.reader(kEnd), copy = reader;
    EXPECT_FALSE(leaves(Time{0}));
  }
  EXPECT_TRUE(leaves(kMoment));
}

TEST_F(FarewellTest, IsNotProlongedByWhoComesToReadAgainAndAgain) {
  situation_.connected = true;
  EXPECT_FALSE(leaves(Time{0}));
  const Farewell::Reader in_time = farewell_.reader(kEnd + Farewell::kPeers);
  EXPECT_FALSE(leaves(Farewell::kPeers + kMoment));
  const Time over = Farewell::kPeers + limits::kSlowReader;
  Farewell::Reader late = farewell_.reader(kEnd + over - kMoment);
  late.took(kEnd + over);
  EXPECT_TRUE(leaves(over));
}

TEST_F(FarewellTest, WaitsForNoReaderWhenDrained) {
  const Farewell::Reader reader = farewell_.reader(kEnd);
  EXPECT_FALSE(leaves(Time{0}));
  situation_.draining = true;
  EXPECT_TRUE(leaves(kMoment));
}

TEST_F(FarewellTest, LeavesOnlyWhenDrainedIfItIsToStay) {
  farewell_ = Farewell(true);
  EXPECT_FALSE(leaves(Farewell::kReaders));
  situation_.draining = true;
  EXPECT_TRUE(leaves(Farewell::kReaders));
}

TEST_F(FarewellTest, LeavesNoEarlierThanItWasTold) {
  farewell_.not_before(kEnd + Time{5000});
  situation_.connected = true;
  EXPECT_FALSE(leaves(Time{4999}));
  EXPECT_FALSE(leaves(Time{5000})) << "the little while begins here";
  EXPECT_TRUE(leaves(Time{5000} + Farewell::kPeers + kMoment));
}

TEST_F(FarewellTest, LeavesAtOnceWhenDrainedWhoeverMayComeYet) {
  farewell_.not_before(kEnd + Time{5000});
  situation_.draining = true;
  EXPECT_TRUE(leaves(Time{0}));
}

}  // namespace
}  // namespace flowloom
