// Rule 9 in the coordinator's core: who is believed, who is not, and what is drawn again for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"

namespace flowloom {
namespace {

using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CoreRule9 : public CoreTest {
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

TEST_F(CoreRule9, AWorkerThatIsAloneCompletesAnAuditedChain) {
  start(1);
  join_named("one");
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreRule9, TwoWorkersThatAgreeStandInTheLogBoth) {
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

TEST_F(CoreRule9, TwoThatDisagreeWaitForAThirdAndTheStatusSaysSo) {
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

TEST_F(CoreRule9, WhoWasProvedWrongIsInQuarantineUnderItsNameForGood) {
  start(1);
  liars_.insert(join_named("liar"));
  join_named("honest"), join_named("third");
  answer_all();
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_QUARANTINED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("it gave numbers that were proved wrong"));
  ASSERT_EQ(status().quarantined_size(), 1);
  EXPECT_EQ(status().quarantined(0).name(), "liar");
  EXPECT_EQ(status().workers_size(), 2);
  refusals_.clear();
  restart();
  join_named("liar");
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_QUARANTINED);
  EXPECT_THAT(refusals_[0].sentence(), HasSubstr("joins under another --name"));
  EXPECT_EQ(status().quarantined_size(), 1);
}

TEST_F(CoreRule9, AUnitAboveTheThresholdIsDrawnTwice) {
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

// Units that were drawn once, and are drawn again later.
class CoreRecheck : public CoreRule9 {
 protected:
  // The liar draws the first units alone; then others come, and a sample of all that is there is drawn again.
  void lie_then_sample(std::size_t wrong_units) {
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

TEST_F(CoreRecheck, ASampleOfAGoodChainIsDrawnAgainAndFoundGood) {
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

TEST_F(CoreRecheck, ASampleNamesTheFirstWrongUnitAndTheWayOut) {
  lie_then_sample(3);
  ASSERT_EQ(log_->frontier(), 3 * run_.unit);
  join_named("one"), join_named("two");
  core_->recheck({1, 1});
  sort_outgoing();
  answer_all();
  EXPECT_EQ(status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status().sentence(), HasSubstr("Unit 0 of the chain is wrong: worker 1 drew it"));
  EXPECT_THAT(status().sentence(), HasSubstr("'flowloom rewind DIR --to 0'"));
}

TEST_F(CoreRecheck, WhatStandsOnAQuarantinedWordAloneIsDrawnAgainByOthers) {
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

TEST_F(CoreRecheck, AfterARewindTheChainGoesOnWithTheRightNumbers) {
  lie_then_sample(3);
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

// ------------------------------------------------------------------------------------------- an operator's decision

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
