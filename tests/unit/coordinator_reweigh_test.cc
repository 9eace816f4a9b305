// How the core has its current state reweighed at a switch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "coordinator_core_cases.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CoreReweighTest : public CoreTest {
 protected:
  // At the switch of proposal 8, with its reweigh granted.
  void SetUp() override {
    numbers_.spoiled = false;
    open({.length = 24, .window = 2, .switches = {0, 8, 16}});
    publish("a", {0});
    publish("b", {1});
    publish("c", {2});
    worker_ = join_ready();
    answer_grants();
    ASSERT_THAT(reweighs_, SizeIs(1));
  }
  WorkerMessage reweigh_answer() { return numbers_.reweigh(reweighs_.back().second, model_of(2)); }
  WorkerId worker_ = 0;
};

TEST_F(CoreReweighTest, NamesTheCurrentStateWithItsLoggedNumbers) {
  const auto& grant = reweighs_[0].second;
  Chain chain(run_.noise_key());
  for (const std::uint64_t unit : {0, 1}) chain.advance(numbers_.unit(unit, 4, model_of(1)));
  EXPECT_EQ(grant.index(), chain.current()->index);
  EXPECT_EQ(grant.log_p(), chain.current()->log_p);
  EXPECT_EQ(grant.log_q(), chain.current()->log_q);
  EXPECT_EQ(grant.state_version(), 1u);
  EXPECT_EQ(grant.version(), 2u);
  EXPECT_EQ(grant.unit_size(), 4u);
}

TEST_F(CoreReweighTest, CommitsNothingAboveTheSwitchBeforeItsAnswer) {
  answer_grants();
  EXPECT_EQ(log_->frontier(), 8u);
  say(worker_, reweigh_answer());
  EXPECT_EQ(log_->frontier(), 16u);
}

TEST_F(CoreReweighTest, TellsTheDrawnNumbersAtTheNextSwitchIfTheStateIsStillTheSame) {
  // Nothing is accepted between the two switches.
  answer_grants();
  restart();
  const WorkerId worker = join_ready(0);
  say(worker, numbers_.reweigh(reweighs_.back().second, model_of(2)));
  for (const std::uint64_t unit : {2, 3}) {
    WorkerMessage message = answer(unit, 2);
    message.mutable_sample()->set_log_p(pack(std::vector<double>(4, -std::numeric_limits<double>::infinity())));
    say(worker, message);
  }
  ASSERT_GE(reweighs_.size(), 2u);
  const auto& first = reweighs_.front().second;
  const auto& last = reweighs_.back().second;
  EXPECT_EQ(last.version(), 3u);
  EXPECT_EQ(last.index(), first.index());
  EXPECT_EQ(last.state_version(), 1u);
  EXPECT_EQ(last.log_q(), first.log_q());
}

TEST_F(CoreReweighTest, HaltsWithASentenceIfTheInverseMisses) {
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_round_trip(1e-3);
  say(worker_, message);
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("The switch at proposal 8 cannot be made"));
  take_grants();
  tick();
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_EQ(log_->frontier(), 8u);
}

TEST_F(CoreReweighTest, HaltsIfTheRoundTripIsNotANumber) {
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_round_trip(std::nan(""));
  say(worker_, message);
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
}

TEST_F(CoreReweighTest, HaltsIfTheNewLogQIsNotFinite) {
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_log_q(-std::numeric_limits<double>::infinity());
  say(worker_, message);
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
}

TEST_F(CoreReweighTest, IsRepeatedIfTheStateWasRebuiltWrongly) {
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_mismatch(1e-3);
  say(worker_, message);
  EXPECT_THAT(reweighs_, SizeIs(2));
  EXPECT_NE(status().state(), StatusReply::STATE_HALTED);
  say(worker_, message);
  say(worker_, message);
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("The reweigh of state"));
  EXPECT_THAT(status().sentence(), EndsWith("Mend the cause and start again."));
}

TEST_F(CoreReweighTest, IsGrantedToAnotherWorkerAfterAFailure) {
  const WorkerId second = join_ready();
  WorkerMessage message;
  message.mutable_failure()->set_reweigh_index(reweighs_[0].second.index());
  say(worker_, message);
  ASSERT_THAT(reweighs_, SizeIs(2));
  EXPECT_EQ(reweighs_[1].first, second);
}

TEST_F(CoreReweighTest, IsGrantedToAnotherWorkerWhenItsLeaseExpires) {
  const WorkerId second = join_ready();
  tick(4.9);
  EXPECT_THAT(reweighs_, SizeIs(1));
  tick(0.2);
  ASSERT_THAT(reweighs_, SizeIs(2));
  EXPECT_EQ(reweighs_[1].first, second);
  tick(5.1);
  ASSERT_THAT(reweighs_, SizeIs(3));
  EXPECT_EQ(reweighs_[2].first, worker_);
}

TEST_F(CoreReweighTest, IsGrantedToTheNextWorkerWhenItsOwnLeft) {
  leave(worker_);
  EXPECT_THAT(reweighs_, SizeIs(1));
  const WorkerId second = join_ready();
  ASSERT_THAT(reweighs_, SizeIs(2));
  EXPECT_EQ(reweighs_[1].first, second);
}

TEST_F(CoreReweighTest, IsGrantedToNobodyWhoCannotReweigh) {
  auto message = hello();
  message.clear_capabilities();
  message.add_capabilities("sample");
  for (const std::uint32_t version : {1, 2, 3}) say(join(message), ready(version));
  leave(worker_);
  EXPECT_THAT(reweighs_, SizeIs(1));
}

TEST_F(CoreReweighTest, IsNotTakenFromAWorkerThatHasNotVerifiedTheVersion) {
  const WorkerId unproven = join();
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_log_q(std::nan(""));  // would halt the run
  say(unproven, message);
  EXPECT_EQ(log_->records.size(), 3u);
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreReweighTest, TakesALateAnswer) {
  const WorkerId second = join_ready();
  tick(5.1);
  say(worker_, reweigh_answer());
  EXPECT_EQ(log_->records.size(), 5u);  // switch, two units, switch, reweigh
  say(second, reweigh_answer());        // and ignores the second
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreReweighTest, IgnoresAnAnswerForAnotherStateOrVersion) {
  WorkerMessage message = reweigh_answer();
  message.mutable_reweigh()->set_index(reweighs_[0].second.index() + 1);
  say(worker_, message);
  message = reweigh_answer();
  message.mutable_reweigh()->set_version(3);
  say(worker_, message);
  EXPECT_EQ(log_->records.size(), 3u);
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreReweighTest, IsWrittenTogetherWithItsSwitchOrNotAtAll) {
  log_->fails = [](const Write& write) { return !write.records.empty(); };
  say(worker_, reweigh_answer());
  EXPECT_EQ(log_->records.size(), 3u);
  tick();
  log_->fails = {};
  tick();
  EXPECT_TRUE(std::holds_alternative<SwitchRecord>(log_->records.at(3)));
  EXPECT_TRUE(std::holds_alternative<ReweighRecord>(log_->records.at(4)));
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreTest, SwitchesWithoutAReweighWhileThereIsNoState) {
  numbers_.first_valid = 10;
  open({.length = 24, .switches = {0, 8}});
  publish("a", {0});
  publish("b", {1});
  join_ready();
  work();
  EXPECT_EQ(log_->head(), reference_head());
  for (const Record& record : log_->records) EXPECT_FALSE(std::holds_alternative<ReweighRecord>(record));
}

}  // namespace
}  // namespace flowloom
