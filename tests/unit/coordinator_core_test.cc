#include "coordinator/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "coordinator_core_cases.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// ------------------------------------------------------------------------------------------------------ answers

class CoreAnswerTest : public CoreTest {
 protected:
  void SetUp() override {
    open({.length = 96, .window = 5, .switches = {0, 40}});
    publish("a", {0});
    publish("b", {1});
    worker_ = join_ready();
  }
  Refusal::Code code_of(const WorkerMessage& message) {
    say(worker_, message);
    EXPECT_THAT(refusals_, SizeIs(1));
    const auto code = refusals_.empty() ? Refusal::CODE_UNSPECIFIED : refusals_[0].code();
    refusals_.clear();
    work();  // it lives on
    EXPECT_EQ(log_->head(), reference_head());
    EXPECT_TRUE(core_->complete());
    return code;
  }
  WorkerId worker_ = 0;
};

TEST_F(CoreAnswerTest, CommitsTheChainOfOneLoop) {
  work();
  EXPECT_TRUE(core_->complete());
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, RefusesAnAnswerOfTheWrongSize) {
  for (const auto& cut : {&flowloom::v1::SampleAnswer::mutable_log_p, &flowloom::v1::SampleAnswer::mutable_log_q,
                          &flowloom::v1::SampleAnswer::mutable_sums}) {
    WorkerMessage message = answer(1);
    (message.mutable_sample()->*cut)()->pop_back();
    say(worker_, message);
    ASSERT_THAT(refusals_, SizeIs(1));
    EXPECT_EQ(refusals_[0].code(), Refusal::CODE_WRONG_COUNT);
    refusals_.clear();
    SetUp();
  }
}

TEST_F(CoreAnswerTest, EndsTheStreamOfAWorkerWithAnAnswerOfTheWrongSizeAndLivesOn) {
  for (int i = 0; i < 5; ++i) {
    WorkerMessage message = answer(1);
    message.mutable_sample()->clear_sums();
    say(worker_, message);
    ASSERT_THAT(refusals_, SizeIs(1));
    EXPECT_EQ(refusals_[0].code(), Refusal::CODE_WRONG_COUNT);
    refusals_.clear();
    EXPECT_THAT(status().workers(), IsEmpty());
    worker_ = join_ready();
  }
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, RefusesAnAnswerToAUnitThatWasNeverLeasedUnlessAnEarlierProcessMayHave) {
  open({.length = 96, .window = 5, .switches = {0, 40}});
  publish("a", {0});
  publish("b", {1});
  auto message = hello();
  message.set_credits(1);
  const WorkerId worker = join(message);
  say(worker, ready(1));
  WorkerMessage ahead = answer(4);  // inside the window; only unit 0 is leased
  ahead.mutable_sample()->set_epoch(status().epoch());
  say(worker, ahead);
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_NEVER_LEASED);
  refusals_.clear();
  ahead.mutable_sample()->set_epoch(status().epoch() - 1);
  say(worker, ahead);
  EXPECT_THAT(refusals_, IsEmpty());
}

class ExactnessRule9 : public CoreAnswerTest {};

TEST_F(ExactnessRule9, NothingIsTakenFromAWorkerThatHasNotReproducedTheReferences) {
  const WorkerId stranger = join();
  say(stranger, answer(0));
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_NEVER_LEASED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("has not shown that it reproduces version 1"));
  EXPECT_EQ(log_->frontier(), 0u);
}

TEST_F(CoreAnswerTest, RefusesAnAnswerAboveTheWindow) { EXPECT_EQ(code_of(answer(5)), Refusal::CODE_NEVER_LEASED); }

TEST_F(CoreAnswerTest, RefusesAnAnswerAboveTheEnd) { EXPECT_EQ(code_of(answer(24)), Refusal::CODE_NEVER_LEASED); }

TEST_F(CoreAnswerTest, RefusesAnAnswerToTheLargestUnitNumber) {
  WorkerMessage message = answer(1);
  message.mutable_sample()->set_unit(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(code_of(message), Refusal::CODE_NEVER_LEASED);
}

TEST_F(CoreAnswerTest, RefusesAnAnswerUnderAnotherVersion) {
  EXPECT_EQ(code_of(answer(1, 2)), Refusal::CODE_WRONG_VERSION);
}

TEST_F(CoreAnswerTest, RefusesASecondHello) {
  WorkerMessage message;
  *message.mutable_hello() = hello();
  EXPECT_EQ(code_of(message), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreAnswerTest, RefusesAnEmptyMessage) { EXPECT_EQ(code_of(WorkerMessage()), Refusal::CODE_PROTOCOL); }

TEST_F(CoreAnswerTest, IgnoresAnAnswerBelowTheFrontier) {
  say(worker_, answer(0));
  WorkerMessage other = answer(0);
  other.mutable_sample()->set_log_p(std::string(32, '\1'));
  say(worker_, other);
  EXPECT_THAT(refusals_, IsEmpty());
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, KeepsTheFirstOfTwoAnswersThatWait) {
  say(worker_, answer(1));
  WorkerMessage other = answer(1);
  other.mutable_sample()->set_log_p(std::string(32, '\1'));
  say(worker_, other);
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, CommitsInIndexOrderHoweverAnswersArrive) {
  say(worker_, answer(1));
  EXPECT_EQ(log_->frontier(), 0u);
  say(worker_, answer(0));
  EXPECT_EQ(log_->frontier(), 8u);
}

TEST_F(CoreAnswerTest, TakesAnAnswerThatWasGrantedBeforeARestart) {
  restart();
  take_grants();
  const WorkerId worker = join(0);
  say(worker, ready(1));
  say(worker, answer(0));
  EXPECT_EQ(log_->frontier(), 4u);
}

TEST_F(CoreAnswerTest, OutlivesNumbersWhoseDifferencesOverflow) {
  WorkerMessage message = answer(0);
  const std::vector<double> huge(4, 1e308), tiny(4, -1e308);
  message.mutable_sample()->set_log_p(pack(huge));
  message.mutable_sample()->set_log_q(pack(tiny));
  for (int draw = 0; draw < 2; ++draw) say(worker_, message);  // no proposal of the unit is valid
  work();
  EXPECT_TRUE(core_->complete());
  EXPECT_EQ(
      status().invalid(), 4u + [&] {
        std::uint64_t invalid = 0;
        for (std::uint64_t unit = 1; unit < 24; ++unit) {
          const UnitData data = numbers_.unit(unit, 4, model_of(unit < 10 ? 1 : 2));
          for (std::size_t k = 0; k < 4; ++k) invalid += !stats::is_valid_proposal(data.log_p[k], data.log_q[k]);
        }
        return invalid;
      }());
}

TEST_F(CoreAnswerTest, OutlivesObservablesOfAnySize) {
  for (const double size : {1e300, -1e300, 1e200, 1e160}) {
    WorkerMessage message = answer(static_cast<std::uint64_t>(log_->frontier() / 4));
    message.mutable_sample()->set_log_p(pack(std::vector<double>(4, 0.0)));
    message.mutable_sample()->set_log_q(pack(std::vector<double>(4, -1e3)));
    message.mutable_sample()->set_sums(pack(std::vector<double>(16, size)));
    say(worker_, message);
    EXPECT_NO_THROW(status());
  }
  work();
  EXPECT_TRUE(core_->complete());
  EXPECT_NO_THROW(status());
}

TEST_F(CoreAnswerTest, StoresEveryNanAsTheCanonicalOne) {
  WorkerMessage message = answer(0);
  const double odd = std::bit_cast<double>(0xfff8000000000123ULL);
  message.mutable_sample()->set_log_p(pack(std::vector<double>{0, odd, odd, odd}));
  say(worker_, message);
  const auto& unit = std::get<UnitRecord>(log_->records.at(1));
  EXPECT_EQ(std::bit_cast<std::uint64_t>(unit.data.log_p[1]), 0x7ff8000000000000ULL);
}

// ----------------------------------------------------------------------------------------------------- failures

TEST_F(CoreAnswerTest, HaltsAndNamesAUnitThatFailedThreeTimes) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(status().state(), StatusReply::STATE_HALTED);
    say(worker_, failure(0, "the device is on fire"));
  }
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("Unit 0 failed 3 times"));
  EXPECT_THAT(status().sentence(), HasSubstr("the device is on fire"));
  EXPECT_FALSE(core_->finished());
}

TEST_F(CoreAnswerTest, GrantsAndCommitsNothingOnceHalted) {
  for (int i = 0; i < 3; ++i) say(worker_, failure(0));
  take_grants();
  say(worker_, answer(0));
  say(worker_, answer(1));
  tick();
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_EQ(log_->frontier(), 0u);
}

TEST_F(CoreAnswerTest, NeverSkipsAUnitThatFailedTwice) {
  say(worker_, failure(0));
  say(worker_, failure(0));
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, LetsNoOtherWorkerFailAUnit) {
  const WorkerId stranger = join(0);
  for (int i = 0; i < 5; ++i) say(stranger, failure(0));
  EXPECT_NE(status().state(), StatusReply::STATE_HALTED);
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, GivesAFailedUnitBackIfNoOtherWorkerIsReadyForIt) {
  join(2);  // never gets ready
  take_grants();
  say(worker_, failure(0));
  EXPECT_THAT(take_grants(), ElementsAre(Grant{worker_, 0, 1}));
}

// ------------------------------------------------------------------------------------------- failed writes, status

TEST_F(CoreAnswerTest, ShowsOnlyWhatIsOnDisk) {
  answer_grants();
  const std::uint64_t durable = log_->frontier();
  const StatusReply before = status();
  log_->fails = [](const Write&) { return true; };
  answer_grants();
  const StatusReply after = status();
  EXPECT_EQ(after.state(), StatusReply::STATE_STALLED);
  EXPECT_EQ(after.proposals(), durable);
  EXPECT_EQ(after.accepted(), before.accepted());
  EXPECT_EQ(after.invalid(), before.invalid());
  EXPECT_EQ(after.ess(), before.ess());
  EXPECT_EQ(after.head(), before.head());
  EXPECT_EQ(core_->durable_frontier(), durable);
}

TEST_F(CoreAnswerTest, GrantsNothingAfterAFailedWriteUntilOneSucceeds) {
  log_->fails = [](const Write&) { return true; };
  answer_grants();
  const auto before = take_grants();  // the failure was known
  tick();
  tick();
  EXPECT_THAT(grants_, IsEmpty());
  log_->fails = {};
  tick();
  EXPECT_THAT(grants_, Not(IsEmpty()));
  grants_.insert(grants_.begin(), before.begin(), before.end());
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, IsNotCompleteBeforeTheLastUnitIsOnDisk) {
  log_->fails = [this](const Write&) { return log_->frontier() == 92; };
  while (log_->failures == 0) {
    ASSERT_THAT(grants_, Not(IsEmpty()));
    const auto next = grants_.front();
    grants_.erase(grants_.begin());
    say(next.worker, answer(next.unit, next.version));
    for (const auto& [worker, grant] : std::exchange(reweighs_, {})) {
      say(worker, numbers_.reweigh(grant, model_of(grant.version())));
    }
  }
  EXPECT_FALSE(core_->complete());
  EXPECT_FALSE(core_->finished());
  log_->fails = {};
  tick();
  EXPECT_TRUE(core_->complete());
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, SaysWhichFractionWasInvalid) {
  work();
  const auto notes = status().notes();
  EXPECT_THAT(notes, Contains(HasSubstr("Invalid proposals")));
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(CoreTest, SaysThatASwitchWasPlacedByTheClock) {
  open({.switches = {}});
  publish("a");
  join_ready();
  EXPECT_THAT(status().notes(), Contains(HasSubstr("placed by the clock at proposal 0")));
}

// ------------------------------------------------------------------------------------------------ drain and the end

TEST_F(CoreAnswerTest, DrainedItGrantsNothingAndFinishesWhenNothingIsLeased) {
  take_grants();
  core_->drain();
  sort_outgoing();
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_FALSE(core_->finished());
  ASSERT_THAT(goodbyes_, SizeIs(1));
  EXPECT_GT(goodbyes_[0].reconnect_after_seconds(), 0);
  say(worker_, answer(0));
  EXPECT_THAT(grants_, IsEmpty());
  say(worker_, answer(1));
  EXPECT_TRUE(core_->finished());
  EXPECT_FALSE(core_->complete());
  EXPECT_EQ(log_->frontier(), 8u);
}

TEST_F(CoreAnswerTest, DrainedForGoodItTellsWorkersNotToComeBack) {
  core_->drain();
  core_->drain(/*for_good=*/true);
  EXPECT_TRUE(core_->over());
  EXPECT_FALSE(core_->complete());
  sort_outgoing();
  ASSERT_THAT(goodbyes_, SizeIs(2));
  EXPECT_GT(goodbyes_[0].reconnect_after_seconds(), 0);
  EXPECT_EQ(goodbyes_[1].reconnect_after_seconds(), 0);
  join(0);
  ASSERT_THAT(goodbyes_, SizeIs(3));
  EXPECT_EQ(goodbyes_[2].reconnect_after_seconds(), 0);
}

TEST_F(CoreAnswerTest, DrainedItDoesNotWaitForALeaseThatExpired) {
  core_->drain();
  tick(5.1);
  EXPECT_TRUE(core_->finished());
}

TEST_F(CoreAnswerTest, DrainedAndStartedAgainItMakesTheSameChain) {
  take_grants();
  core_->drain();
  say(worker_, answer(0));
  restart();
  grants_.clear();
  join_ready();
  work();
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreAnswerTest, CompleteItTellsWorkersNotToComeBack) {
  work();
  ASSERT_THAT(goodbyes_, SizeIs(1));
  EXPECT_EQ(goodbyes_[0].reconnect_after_seconds(), 0);
  EXPECT_TRUE(core_->finished());
}

TEST_F(CoreAnswerTest, CompleteItSendsLateWorkersAwayAtOnce) {
  work();
  goodbyes_.clear();
  join();
  ASSERT_THAT(goodbyes_, SizeIs(1));
  EXPECT_EQ(goodbyes_[0].reconnect_after_seconds(), 0);
}

TEST_F(CoreAnswerTest, CompleteAndRestartedItSendsEveryWorkerAwayOnce) {
  work();
  restart();
  goodbyes_.clear();
  join();
  join();
  EXPECT_THAT(goodbyes_, SizeIs(2));
}

// ------------------------------------------------------------------------------------------------------- replay

TEST_F(CoreAnswerTest, RefusesALogWhoseFlagsContradictItsNumbers) {
  work();
  auto& unit = std::get<UnitRecord>(log_->records.at(2));
  unit.accepted[1] ^= 1;
  EXPECT_THROW(restart(), Error);
}

TEST_F(CoreAnswerTest, RefusesALogWithASwitchThatIsNotInTheTable) {
  work();
  log_->switches.pop_back();
  EXPECT_THROW(restart(), Error);
}

TEST_F(CoreAnswerTest, RefusesALogWhoseSwitchNamesAnotherCheckpointThanTheTable) {
  work();
  log_->switches.back().checkpoint[0] ^= 1;
  EXPECT_THROW(restart(), Error);
}

TEST_F(CoreAnswerTest, RefusesALogWithAColumnMissing) {
  work();
  std::get<UnitRecord>(log_->records.at(1)).data.sums.resize(12);
  EXPECT_THROW(restart(), Error);
}

// A start that finds everything there shows the same figures as the process that wrote it.
TEST_F(CoreAnswerTest, ReplayedItShowsTheSameStatus) {
  work();
  StatusReply before = status();
  restart();
  StatusReply after = status();
  for (StatusReply* reply : {&before, &after}) {
    reply->clear_epoch();
    reply->clear_workers();
    reply->clear_proposals_per_second();
  }
  EXPECT_EQ(before.SerializeAsString(), after.SerializeAsString());
}

}  // namespace
}  // namespace flowloom
