// An operator's decision in the coordinator's core: a version serves from a proposal on, and the log says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"

namespace flowloom {
namespace {

using flowloom::v1::StatusReply;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

class CoreActivate : public CoreTest {
 protected:
  void SetUp() override {
    open({.switches = {0, 80}});
    publish("a", {0});
    publish("b", {1});
    worker_ = join_ready(1);
  }
  void draw(std::size_t units) {
    while (units > 0 && (!grants_.empty() || !reweighs_.empty())) {
      units -= std::min(units, grants_.size());
      answer_grants();
      for (const auto& [worker, grant] : std::exchange(reweighs_, {})) {
        say(worker, numbers_.reweigh(grant, model_of(grant.version())));
      }
    }
  }
  ErrorCode refused(std::uint32_t version) {
    try {
      core_->activate(version, "test");
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  }
  WorkerId worker_ = 0;
};

TEST_F(CoreActivate, AVersionServesFromTheFirstProposalThatWasNeverGranted) {
  draw(3);  // unit 3 is granted
  EXPECT_EQ(core_->activate(2, "the other one is slow"), 16u);
  sort_outgoing();
  ASSERT_THAT(log_->switches, SizeIs(2));
  EXPECT_EQ(log_->switches[1].placement, Placement::kOperator);
  work();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  ASSERT_THAT(log_->switches, SizeIs(3)) << "the schedule goes on";
  EXPECT_EQ(log_->switches[2].from, 80u);
  EXPECT_THAT(
      status().notes(),
      Contains(AllOf(HasSubstr("an operator put version 2 in service from proposal 16 on (the other one is slow)"),
                     HasSubstr("Exact only if that decision did not look at the chain"))));
  std::vector<Record> without_event;
  for (const Record& record : log_->records) {
    if (!std::holds_alternative<EventRecord>(record)) without_event.push_back(record);
  }
  EXPECT_EQ(head_of(run_, without_event), reference_head());
  restart();
  EXPECT_THAT(status().notes(), Contains(HasSubstr("an operator put version 2 in service")));
}

TEST_F(CoreActivate, RefusesWhatCannotServe) {
  draw(3);
  EXPECT_EQ(refused(3), ErrorCode::kNotFound);
  EXPECT_EQ(refused(1), ErrorCode::kConflict) << "it serves already";
  publish("c");
  EXPECT_EQ(refused(3), ErrorCode::kConflict) << "nobody has verified it";
  core_->activate(2, "test");
  EXPECT_EQ(refused(1), ErrorCode::kConflict) << "a switch is being placed there";
  work();
  EXPECT_EQ(refused(1), ErrorCode::kConflict) << "it is complete";
  EXPECT_THAT(log_->records, SizeIs(24 + 3 + 2 + 1));
}

TEST_F(CoreActivate, StandsForAnEntryOfTheScheduleThatTheChainWaitsFor) {
  open({.switches = {0, 40}});
  publish("a", {0});
  publish("b");
  join_ready(1);
  work();
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  EXPECT_EQ(core_->activate(2, "training will not get there"), 40u);
  sort_outgoing();
  work();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_THAT(log_->switches, SizeIs(2));
}

TEST_F(CoreActivate, ByClockOnlyAVersionThatComesLaterTakesOver) {
  open({.switches = {}});
  publish("a");
  publish("b");
  join_ready(1);
  draw(3);
  ASSERT_EQ(log_->switches.back().version, 2u);
  core_->activate(1, "the newer one is worse");
  sort_outgoing();
  draw(3);
  EXPECT_EQ(log_->switches.back().version, 1u);
  publish("c");
  say(1, ready(3));
  draw(3);
  EXPECT_EQ(log_->switches.back().version, 3u);
}

}  // namespace
}  // namespace flowloom
