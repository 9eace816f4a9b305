// Rule 9 in the coordinator's core: who is believed, who is not, and what is drawn again for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"

namespace flowloom {
namespace {

using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class ExactnessRule9Core : public CoreTest {
 protected:
  // A version is there; workers have names, and those in `liars_` give other numbers than the rest.
  void start(double audit) {
    open({.audit = audit});
    publish("a", {0});
  }
  WorkerId join_named(const std::string& name, std::uint32_t credits = 2) {
    auto message = hello(credits);
    message.set_name(name);
    const WorkerId id = join(message);
    say(id, ready(1));
    return id;
  }
  void answer_as(WorkerId worker, std::uint64_t unit) {
    const Numbers& drawn = liars_.contains(worker) ? lies_ : numbers_;
    say(worker, drawn.sample(unit, run_.unit, model_of(1)));
  }
  // Until nothing is granted, or so many answers were given.
  void answer_all(std::size_t answers = 1000) {
    while (!grants_.empty() && answers > 0) {
      for (const Grant& grant : take_grants()) answer_as(grant.worker, grant.unit), --answers;
    }
  }
  // The chain's records but for what was decided by hand.
  std::vector<Record> without_decisions() const {
    std::vector<Record> records;
    for (const Record& record : log_->chain()) {
      const bool decision = std::holds_alternative<EventRecord>(record) || std::holds_alternative<RewindRecord>(record);
      if (!decision) records.push_back(record);
    }
    return records;
  }

  std::set<WorkerId> liars_;
  Numbers lies_{.salt = 1, .spoiled = false};
};

TEST_F(ExactnessRule9Core, AWorkerThatIsAloneCompletesAnAuditedChain) {
  start(1);
  join_named("one");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(ExactnessRule9Core, TwoWorkersThatAgreeStandInTheLogBoth) {
  start(1);
  const WorkerId one = join_named("one"), two = join_named("two");
  answer_all();
  for (const Record& record : log_->records) {
    if (const auto* unit = std::get_if<UnitRecord>(&record)) {
      EXPECT_THAT((std::set{unit->worker, unit->second}), ElementsAre(one, two));
    }
  }
  EXPECT_EQ(status().workers(0).audited_units(), 24u);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(ExactnessRule9Core, TwoThatDisagreeWaitForAThirdAndTheStatusSaysSo) {
  start(1);
  const WorkerId liar = join_named("liar"), honest = join_named("honest");
  liars_.insert(liar);
  answer_all();
  EXPECT_EQ(log_->frontier(), 0u);
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  EXPECT_EQ(status().sentence(), "workers " + std::to_string(liar) + " and " + std::to_string(honest) +
                                     " disagree about unit 0; a third worker is needed to decide");
  join_named("third");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(ExactnessRule9Core, WhoComesBackUnderItsNameIsNoThirdWorker) {
  start(1);
  const WorkerId liar = join_named("liar");
  liars_.insert(liar);
  join_named("honest");
  answer_all();
  leave(liar);
  liars_.insert(join_named("liar"));
  answer_all();
  EXPECT_EQ(log_->frontier(), 0u);
  EXPECT_EQ(status().quarantined_size(), 0);
  EXPECT_THAT(status().sentence(), HasSubstr("a third worker is needed"));
  join_named("third");
  answer_all();
  ASSERT_EQ(status().quarantined_size(), 1);
  EXPECT_EQ(status().quarantined(0).name(), "liar");
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(ExactnessRule9Core, WhoComesBackUnderItsNameDoesNotConfirmItself) {
  start(1);
  join_named("another");  // could draw what one has drawn, and has not yet
  std::map<std::uint64_t, int> asked;
  for (int stay = 0; stay < 3; ++stay) {
    const WorkerId one = join_named("one");
    for (const Grant& grant : take_grants()) {
      if (grant.worker != one) continue;
      ++asked[grant.unit];
      answer_as(one, grant.unit);
    }
    leave(one);
  }
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(asked.begin()->second, 2);
  for (const auto& [unit, times] : asked) EXPECT_LE(times, 2) << unit;
  EXPECT_EQ(log_->frontier(), 0u);
}

TEST_F(ExactnessRule9Core, WorkersOfOneNameAreOneWitness) {
  start(1);
  const WorkerId one = join_named("host"), two = join_named("host");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE) << "as one that is alone";
  EXPECT_EQ(log_->head(), reference_head());
  for (const Record& record : log_->records) {
    if (const auto* unit = std::get_if<UnitRecord>(&record)) {
      EXPECT_EQ(unit->worker, unit->second);
    }
  }
  EXPECT_NE(one, two);
}

TEST_F(ExactnessRule9Core, WhoWasProvedWrongIsInQuarantineUnderItsNameForGood) {
  start(1);
  liars_.insert(join_named("liar"));
  join_named("honest"), join_named("third");
  answer_all();
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_QUARANTINED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("it gave numbers that were proved wrong"));
  ASSERT_EQ(status().quarantined_size(), 1);
  EXPECT_EQ(status().quarantined(0).name(), "liar");
  EXPECT_EQ(status().quarantined(0).wrong_units(), 1u);
  EXPECT_EQ(status().workers_size(), 2);
  refusals_.clear();
  restart();
  join_named("liar");
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_QUARANTINED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("joins under another --name"));
  ASSERT_EQ(status().quarantined_size(), 1);
  EXPECT_EQ(status().quarantined(0).wrong_units(), 1u);
}

TEST_F(ExactnessRule9Core, WhatWhoIsInQuarantineDidBeforeStaysInStatus) {
  start(1);
  std::uint64_t answered = 0;
  const auto answer = [&] {
    while (!grants_.empty()) {
      for (const Grant& grant : take_grants()) {
        answered += liars_.contains(grant.worker) && status().quarantined_size() == 0;
        answer_as(grant.worker, grant.unit);
      }
    }
  };
  const WorkerId first = join_named("liar");
  liars_.insert(first);
  tick(run_.chain.lease_seconds + 1);
  join_named("honest");
  answer();  // late, too
  EXPECT_EQ(status().workers(0).expired_units(), 2u);
  EXPECT_EQ(status().workers(0).answered_units(), answered);
  leave(first);
  answer();
  liars_.insert(join_named("liar")), liars_.insert(join_named("liar"));
  answer();
  ASSERT_EQ(status().quarantined_size(), 0);
  join_named("third");
  answer();
  ASSERT_EQ(status().quarantined_size(), 1);
  EXPECT_EQ(status().quarantined(0).answered_units(), answered);
  EXPECT_EQ(status().quarantined(0).expired_units(), 2u);
  EXPECT_GT(status().quarantined(0).audited_units(), 0u);
  restart();
  ASSERT_EQ(status().quarantined_size(), 1) << "and what an earlier coordinator saw is forgotten";
  EXPECT_EQ(status().quarantined(0).answered_units(), 0u);
}

TEST_F(ExactnessRule9Core, AUnitAboveTheThresholdIsDrawnTwice) {
  open({});
  publish("a", {0});
  log_->models[0].threshold = -1e300;  // every finite weight is above it
  restart();
  const WorkerId one = join_named("one"), two = join_named("two");
  const auto grants = take_grants();
  ASSERT_FALSE(grants.empty());
  for (const Grant& grant : grants) {
    if (grant.unit == 0) answer_as(grant.worker, 0);
  }
  EXPECT_EQ(log_->frontier(), 0u);
  answer_as(one, 0), answer_as(two, 0);
  EXPECT_EQ(log_->frontier(), run_.unit);
}

// One worker does as it should, and another keeps its stream and never answers, as one does whose GPU hangs.
class ExactnessRule9CoreMute : public ExactnessRule9Core {
 protected:
  void start_with_mute(double audit) {
    start(audit);
    mute_ = join_named("mute");
    honest_ = join_named("honest");
  }
  // Lets time pass, a tenth of a lease at a time, and everybody but the mute worker answers.
  void pass(double leases) {
    for (double gone = 0; gone < leases; gone += 0.1) {
      answer_but_mute();
      tick(0.1 * run_.chain.lease_seconds);
    }
    answer_but_mute();
  }
  void answer_but_mute() {
    while (!grants_.empty()) {
      for (const Grant& grant : take_grants()) {
        if (grant.worker == mute_) {
          kept_.push_back(grant.unit);
        } else {
          answer_as(grant.worker, grant.unit);
        }
      }
    }
  }
  const flowloom::v1::WorkerStatus& row(const StatusReply& reply, WorkerId worker) {
    return *std::ranges::find(reply.workers(), worker, &flowloom::v1::WorkerStatus::worker);
  }

  WorkerId mute_ = 0, honest_ = 0;
  std::vector<std::uint64_t> kept_;  // what the mute one was granted
};

TEST_F(ExactnessRule9CoreMute, AChainEndsBesideAWorkerThatNeverAnswers) {
  for (const double audit : {1.0, 0.3, 0.0}) {
    start_with_mute(audit);
    pass(5);
    EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE) << audit;
    EXPECT_EQ(log_->head(), reference_head());
  }
}

TEST_F(ExactnessRule9CoreMute, OthersWaitForItTwoLeasesOnceAndThenNoMore) {
  start_with_mute(1);
  pass(1.8);
  EXPECT_EQ(log_->frontier(), 0u) << "it may be slow";
  EXPECT_FALSE(row(status(), mute_).silent());
  pass(0.4);
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(row(status(), mute_).expired_units(), 2u) << "as many as it has credits: nothing more was granted to it";
}

TEST_F(ExactnessRule9CoreMute, IsNamedInTheStatusUntilItAnswers) {
  start_with_mute(1);
  WorkerMessage rest;
  rest.mutable_credit()->set_credits(0);
  say(honest_, rest);
  pass(2.1);
  const StatusReply shown = status();
  EXPECT_EQ(shown.state(), StatusReply::STATE_RUNNING);
  EXPECT_THAT(shown.sentence(), HasSubstr("worker 1, 'mute', does not answer"));
  EXPECT_TRUE(row(shown, mute_).silent());
  EXPECT_FALSE(row(shown, honest_).silent());
  answer_as(mute_, kept_.front());
  EXPECT_FALSE(row(status(), mute_).silent());
  EXPECT_EQ(status().sentence(), "");
}

TEST_F(ExactnessRule9CoreMute, WhereNobodyElseIsThereTheStatusWaits) {
  start(1);
  mute_ = join_named("mute");
  pass(2.1);
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  EXPECT_THAT(status().sentence(), HasSubstr("worker 1, 'mute', does not answer"));
  EXPECT_GT(kept_.size(), 2u) << "it is asked again where nobody else can be";
}

// Its late answer is heard like any other, and from then on units are kept open for it and granted to it again.
TEST_F(ExactnessRule9CoreMute, OneThatIsOnlySlowTakesPartInTheAuditAgain) {
  start_with_mute(1);
  WorkerMessage rest;
  rest.mutable_credit()->set_credits(1);
  say(honest_, rest);
  take_grants();
  for (int i = 0; i < 21; ++i) tick(0.1 * run_.chain.lease_seconds);
  ASSERT_TRUE(row(status(), mute_).silent());
  answer_as(mute_, 0);
  answer_as(honest_, 0);
  EXPECT_EQ(log_->frontier(), run_.unit);
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  for (const Record& record : log_->records) {
    const auto* unit = std::get_if<UnitRecord>(&record);
    if (!unit || unit->data.first_index < 16 * run_.unit) continue;
    EXPECT_THAT((std::set{unit->worker, unit->second}), ElementsAre(mute_, honest_));
  }
}

TEST_F(ExactnessRule9CoreMute, ALateAnswerToAUnitThatOthersDrewShowsThatItAnswersToo) {
  start_with_mute(0);
  pass(0.1);
  WorkerMessage rest;
  rest.mutable_credit()->set_credits(1);
  say(honest_, rest);
  for (int i = 0; i < 11; ++i) tick(0.1 * run_.chain.lease_seconds);
  for (int i = 0; i < 3; ++i) {
    for (const Grant& grant : take_grants()) {
      if (grant.worker == honest_) answer_as(honest_, grant.unit);
    }
  }
  ASSERT_GT(log_->frontier(), 0u);
  for (int i = 0; i < 11; ++i) tick(0.1 * run_.chain.lease_seconds);
  ASSERT_TRUE(row(status(), mute_).silent());
  answer_as(mute_, 23);  // which it was never granted
  EXPECT_TRUE(row(status(), mute_).silent());
  answer_as(mute_, 0);
  EXPECT_FALSE(row(status(), mute_).silent());
}

TEST_F(ExactnessRule9CoreMute, AUnitThatOneDrewTwiceIsNotKeptForAnotherThatHasLeft) {
  start_with_mute(1);
  pass(1.2);  // the honest one has drawn it twice; the other's lease has expired
  ASSERT_EQ(log_->frontier(), 0u);
  leave(mute_);
  tick();
  EXPECT_GT(log_->frontier(), 0u);
}

TEST_F(ExactnessRule9CoreMute, WhoHasLeftIsNotTakenOnItsWord) {
  start_with_mute(1);
  pass(1.2);  // it has drawn the first units twice
  leave(honest_);
  pass(2);
  ASSERT_TRUE(row(status(), mute_).silent());
  EXPECT_EQ(log_->frontier(), 0u);
  honest_ = join_named("honest");
  pass(0.1);
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(ExactnessRule9CoreMute, NobodyIsBelievedAloneWhileAnotherIsOnlyLate) {
  start_with_mute(1);
  pass(1.2);
  liars_.insert(mute_);
  answer_as(mute_, 0);
  tick(run_.chain.lease_seconds);
  pass(5);
  EXPECT_EQ(log_->frontier(), 0u);
  EXPECT_EQ(status().sentence(), "workers 2 and 1 disagree about unit 0; a third worker is needed to decide");
}

// Units that were drawn once, and are drawn again later.
class ExactnessRule9CoreRecheck : public ExactnessRule9Core {
 protected:
  // A liar draws the first units alone, and leaves.
  void let_a_liar_draw(std::size_t wrong_units) {
    start(0);
    const WorkerId liar = join_named("liar", 1);
    liars_.insert(liar);
    for (std::size_t i = 0; i < wrong_units; ++i) answer_all(1);
    take_grants();
    liars_.clear();
    leave(liar);
    sort_outgoing();
  }
};

TEST_F(ExactnessRule9CoreRecheck, ASampleOfAGoodChainIsDrawnAgainAndFoundGood) {
  start(0);
  join_named("one");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  restart();
  core_->only_recheck({1, 1});
  join_named("two");
  answer_all();
  EXPECT_TRUE(core_->finished());
  EXPECT_TRUE(status().recheck().done());
  EXPECT_EQ(status().recheck().checked_units(), 24u);
  EXPECT_EQ(log_->head(), reference_head()) << "nothing is added to the log";
}

TEST_F(ExactnessRule9CoreRecheck, ASampleNamesTheFirstWrongUnitAndTheWayOut) {
  let_a_liar_draw(3);
  ASSERT_EQ(log_->frontier(), 3 * run_.unit);
  join_named("one"), join_named("two");
  core_->recheck({1, 1});
  sort_outgoing();
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("Unit 0 of the chain is wrong: worker 1 drew it"));
  EXPECT_THAT(status().sentence(), HasSubstr("'flowloom rewind DIR --to 0'"));
}

TEST_F(ExactnessRule9CoreRecheck, FindsAWrongUnitBesideAWorkerThatNeverAnswers) {
  let_a_liar_draw(3);
  const WorkerId mute = join_named("mute");
  join_named("one");
  core_->recheck({1, 1});
  sort_outgoing();
  for (int i = 0; i < 40; ++i) {
    for (const Grant& grant : take_grants()) {
      if (grant.worker != mute) answer_as(grant.worker, grant.unit);
    }
    tick(0.1 * run_.chain.lease_seconds);
  }
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("Unit 0 of the chain is wrong"));
}

TEST_F(ExactnessRule9CoreRecheck, AWrongUnitOfTheLogCountsForWhoDrewItInQuarantineOrNot) {
  for (const bool quarantined : {false, true}) {
    let_a_liar_draw(3);
    if (quarantined) {
      log_->workers.at(0).quarantined = "for something else";
      restart();  // begins with what stands on its word alone
    } else {
      join_named("liar");  // another process, which drew nothing
      core_->recheck({1, 1});
      sort_outgoing();
    }
    join_named("one"), join_named("two");
    answer_all();
    const StatusReply shown = status();
    ASSERT_EQ(shown.state(), StatusReply::STATE_HALTED);
    ASSERT_EQ(shown.quarantined_size(), 1);
    EXPECT_EQ(shown.quarantined(0).name(), "liar");
    EXPECT_EQ(shown.quarantined(0).wrong_units(), quarantined ? 2u : 1u);
  }
}

TEST_F(ExactnessRule9CoreRecheck, WhoDrewAWrongUnitIsInQuarantineThoughTheCoordinatorStartsAgain) {
  start(0);
  const WorkerId liar = join_named("liar", 1);
  liars_.insert(liar);
  answer_all(1);
  take_grants();
  liars_.clear();
  WorkerMessage rest;  // it takes no more
  rest.mutable_credit()->set_credits(0);
  say(liar, rest);
  tick(run_.chain.lease_seconds + 1);
  tick(run_.chain.lease_seconds + 1);
  join_named("one"), join_named("two");
  core_->recheck({1, 1});
  sort_outgoing();
  answer_all();
  ASSERT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("'liar' is in quarantine"));
  EXPECT_EQ(status().workers_size(), 2);
  ASSERT_THAT(refusals_, SizeIs(1)) << "its stream ends";
  Write write;
  write.records.push_back(RewindRecord{0, "unit 0 was wrong"});
  log_->keep(write);
  restart();
  refusals_.clear();
  join_named("liar");
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_QUARANTINED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("unit 0 of the chain, which it drew, was proved wrong"));
}

// Its other units, below the place to which the operator goes back, are drawn again where the sample left them out.
TEST_F(ExactnessRule9CoreRecheck, AfterARewindWhatElseItDrewIsDrawnAgain) {
  start(0);
  const WorkerId liar = join_named("liar", 1);
  answer_all(2);
  liars_.insert(liar);
  answer_all(1);
  take_grants();
  leave(liar);
  join_named("one"), join_named("two");
  UnitSample sample{0.5, 1};
  const auto has = [&](UnitNumber unit) { return sample.contains(run_.noise_key(), unit); };
  while (has(0) || has(1) || !has(2)) ++sample.seed;
  core_->recheck(sample);
  sort_outgoing();
  answer_all();
  ASSERT_THAT(status().sentence(), HasSubstr("Unit 2 of the chain is wrong"));
  Write write;
  write.records.push_back(RewindRecord{2 * run_.unit, "unit 2 was wrong"});
  log_->keep(write);
  take_grants();
  restart();
  const WorkerId one = join_named("one", 1);
  EXPECT_EQ(take_grants(), (std::vector<Grant>{{one, 0, 1}}));
  answer_as(one, 0);
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(ExactnessRule9CoreRecheck, WhatStandsOnAQuarantinedWordAloneIsDrawnAgainByOthers) {
  start(0);
  const WorkerId liar = join_named("liar", 1);
  answer_all(4);  // while it still is honest
  const std::uint64_t before = log_->frontier();
  ASSERT_GE(before, 4 * run_.unit);
  log_->workers.at(0).quarantined = "for something else";
  take_grants();
  restart();
  EXPECT_THAT(status().sentence(), HasSubstr("waiting for another worker: 'liar' is in quarantine"));
  const WorkerId one = join_named("one", 1);
  EXPECT_EQ(take_grants(), (std::vector<Grant>{{one, 0, 1}})) << "units of the log come before new ones";
  answer_as(one, 0);
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(log_->head(), reference_head());
  for (const Record& record : log_->records) {
    const auto* unit = std::get_if<UnitRecord>(&record);
    if (!unit) continue;
    EXPECT_TRUE(unit->worker != liar || unit->second == one) << "unit " << unit->data.first_index / run_.unit;
  }
}

TEST_F(ExactnessRule9CoreRecheck, AfterARewindTheChainGoesOnWithTheRightNumbers) {
  let_a_liar_draw(3);
  join_named("one"), join_named("two");
  core_->recheck({1, 1});
  sort_outgoing();
  answer_all();
  ASSERT_EQ(status().state(), StatusReply::STATE_HALTED);
  Write write;
  write.records.push_back(RewindRecord{0, "unit 0 was wrong"});
  log_->keep(write);
  restart();
  join_named("one");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(head_of(run_, without_decisions()), reference_head());
  EXPECT_THAT(status().notes(), Contains(HasSubstr("was left behind (unit 0 was wrong)")));
}

}  // namespace
}  // namespace flowloom
