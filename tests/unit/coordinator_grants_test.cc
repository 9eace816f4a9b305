// What the core grants, under which version, and what it says of versions and switches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"

namespace flowloom {
namespace {

using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

TEST_F(CoreTest, GrantsNothingBeforeAVersionIsVerified) {
  open({});
  const WorkerId worker = join();
  publish("a", {0});
  EXPECT_THAT(prepares_, ElementsAre(1));
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  say(worker, ready(1));
  EXPECT_TRUE(log_->models[0].verified);
  EXPECT_THAT(grants_, ElementsAre(Grant{worker, 0, 1}, Grant{worker, 1, 1}));
}

TEST_F(CoreTest, GrantsNothingToAWorkerThatIsNotReadyForTheVersion) {
  open({});
  publish("a", {0});
  const WorkerId first = join_ready();
  const WorkerId second = join();
  for (const Grant& grant : take_grants()) EXPECT_EQ(grant.worker, first);
  WorkerMessage message;
  message.mutable_not_ready()->set_version(1);
  say(second, message);
  tick();
  EXPECT_THAT(grants_, IsEmpty());
}

TEST_F(CoreTest, KeepsNoSentenceOfATrainerThatFillsTheStatus) {
  open({});
  flowloom::v1::TrainingReport report;
  report.set_sentence(std::string(1 << 20, 'x'));
  core_->reported(report, now_);
  EXPECT_EQ(status().training().sentence(), "a reason of 1048576 bytes");
}

TEST_F(CoreTest, SaysThatATrainerHasFallenSilent) {
  open({});
  join();
  flowloom::v1::TrainingReport report;
  report.set_state(flowloom::v1::TrainingReport::STATE_TRAINING);
  core_->reported(report, now_);
  EXPECT_EQ(core_->status(now_).sentence().find("no trainer has reported"), std::string::npos);
  const auto later = core_->status(now_ + Time{40000});
  EXPECT_EQ(later.state(), flowloom::v1::StatusReply::STATE_WAITING);
  EXPECT_THAT(later.sentence(), HasSubstr("no trainer has reported for 40 seconds; is flowloom-server running?"));
  EXPECT_EQ(later.training().silent_seconds(), 40);
}

TEST_F(CoreTest, SaysThatNoTrainerHasReported) {
  open({});
  join();
  tick();
  EXPECT_THAT(status().sentence(), Not(HasSubstr("no trainer has reported"))) << "it may be about to";
  tick(10);
  EXPECT_THAT(status().sentence(), HasSubstr("but no trainer has reported yet; is flowloom-server running?"));
  publish("1", {0});
  EXPECT_THAT(status().sentence(), Not(HasSubstr("no trainer has reported"))) << "a worker is about to verify";
}

WorkerMessage not_ready(std::uint32_t version) {
  WorkerMessage message;
  message.mutable_not_ready()->set_version(version);
  message.mutable_not_ready()->set_sentence("its numbers differ by 1.");
  return message;
}

TEST_F(CoreTest, AsapABadVersionNeverStopsTheChain) {
  for (const bool serving_before : {true, false}) {
    open({.length = 96, .switches = {}});
    publish("good");
    WorkerId worker = 0;
    if (serving_before) worker = join_ready();
    publish("bad");
    prepares_.clear();
    if (!serving_before) {
      worker = join();
      EXPECT_THAT(prepares_, ElementsAre(2)) << "the newest first";
    }
    say(worker, not_ready(2));
    if (!serving_before) {
      EXPECT_THAT(prepares_, ElementsAre(2, 1)) << "then the one before";
      say(worker, ready(1));
    }
    work();
    EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE) << status().sentence();
    ASSERT_THAT(log_->switches, SizeIs(1));
    EXPECT_EQ(log_->switches[0].version, 1u);
    EXPECT_EQ(log_->head(), reference_head());
  }
}

TEST_F(CoreTest, AnEntryMayGetTheVersionThatServesAlready) {
  open({.length = 24, .switches = {0, 8}});
  publish("a", {0, 1});
  join_ready();
  work();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
  ASSERT_THAT(log_->switches, SizeIs(2));
  EXPECT_EQ(log_->switches[1].from, 8u);
  EXPECT_EQ(log_->switches[1].version, 1u);
  EXPECT_EQ(log_->head(), reference_head());
}

TEST_F(CoreTest, AsapSaysSoIfNoVersionAtAllCanBeServed) {
  open({.switches = {}});
  publish("a");
  publish("b");
  const WorkerId worker = join();
  say(worker, not_ready(2));
  say(worker, not_ready(1));
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  EXPECT_EQ(
      status().sentence(),
      "no worker can serve version 2: its numbers differ by 1. Connect a worker that can, or publish another version.");
  publish("c");
  say(worker, ready(3));
  work();
  EXPECT_EQ(status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(CoreTest, ShowsWhereEachVersionStandsOnEachWorker) {
  using flowloom::v1::Loading;
  using flowloom::v1::VersionOnWorker;
  using States = std::vector<std::pair<std::uint32_t, VersionOnWorker::State>>;
  open({.length = 400, .switches = {}});
  publish("a");
  const WorkerId worker = join(), other = join();
  const auto states = [&](int i = 0) {
    States rows;
    const auto reply = status();
    for (const auto& row : reply.workers(i).versions()) rows.emplace_back(row.version(), row.state());
    return rows;
  };
  const auto loading = [&](Loading::Step step) {
    WorkerMessage message;
    message.mutable_loading()->set_version(1);
    message.mutable_loading()->set_step(step);
    say(worker, message);
  };
  EXPECT_EQ(states(), (States{{1, VersionOnWorker::STATE_OFFERED}}));
  loading(Loading::STEP_FETCHED);
  EXPECT_EQ(states(), (States{{1, VersionOnWorker::STATE_FETCHED}}));
  loading(Loading::STEP_VERIFIED);
  EXPECT_EQ(states(), (States{{1, VersionOnWorker::STATE_VERIFIED}}));
  say(worker, ready(1));
  EXPECT_EQ(states(), (States{{1, VersionOnWorker::STATE_ACTIVE}}));
  publish("b");
  say(other, not_ready(2));
  EXPECT_EQ(states(1), (States{{1, VersionOnWorker::STATE_OFFERED}, {2, VersionOnWorker::STATE_FAILED}}));
  EXPECT_EQ(status().workers(1).versions(1).sentence(), "its numbers differ by 1.");
  say(worker, ready(2));
  for (int turn = 0; turn < 100 && status().proposals() < 48; ++turn) {
    answer_grants();
    for (const auto& [id, grant] : std::exchange(reweighs_, {}))
      say(id, numbers_.reweigh(grant, model_of(grant.version())));
  }
  EXPECT_EQ(states(), (States{{1, VersionOnWorker::STATE_RETIRED}, {2, VersionOnWorker::STATE_ACTIVE}}));
}

TEST_F(CoreTest, SaysWhyNoWorkerCanServeAVersion) {
  open({});
  publish("a", {0});
  const auto refuse = [&](WorkerId worker) {
    WorkerMessage message;
    message.mutable_not_ready()->set_version(1);
    message.mutable_not_ready()->set_sentence("its numbers differ by 1.");
    say(worker, message);
  };
  refuse(join());
  const WorkerId second = join();
  EXPECT_EQ(core_->status(now_).sentence().find("differ"), std::string::npos) << "the second may still be able to";
  refuse(second);
  const auto status = core_->status(now_);
  EXPECT_EQ(status.state(), flowloom::v1::StatusReply::STATE_WAITING);
  EXPECT_EQ(status.sentence(),
            "no worker can serve version 1: its numbers differ by 1. Connect a worker that can, or name another "
            "checkpoint for it in [chain] versions and start again.");
  EXPECT_EQ(status.workers(0).trouble(), "its numbers differ by 1.");

  join_ready();
  EXPECT_EQ(core_->status(now_).state(), flowloom::v1::StatusReply::STATE_RUNNING);
}

TEST_F(CoreTest, GrantsNothingToAWorkerThatCannotSample) {
  open({});
  publish("a", {0});
  auto message = hello();
  message.clear_capabilities();
  message.add_capabilities("reweigh");
  say(join(message), ready(1));
  EXPECT_TRUE(log_->models[0].verified);
  EXPECT_THAT(grants_, IsEmpty());
}

TEST_F(CoreTest, RefusesAWorkerThatIsReadyForAVersionThatDoesNotExist) {
  open({});
  publish("a", {0});
  say(join(), ready(2));
  ASSERT_THAT(refusals_, SizeIs(1));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_WRONG_VERSION);
}

TEST_F(CoreTest, GrantsNothingWhileTheSwitchIsNotOnDisk) {
  open({});
  publish("a", {0});
  log_->fails = [](const Write& write) { return !write.switches.empty(); };
  join_ready();
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_EQ(status().state(), StatusReply::STATE_STALLED);
  tick();
  EXPECT_THAT(grants_, IsEmpty());
  log_->fails = {};
  tick();
  EXPECT_THAT(grants_, SizeIs(2));
}

TEST_F(CoreTest, GrantsUpToAScheduledSwitchAndNoFurtherUntilItsVersionCame) {
  open({.length = 96, .window = 24, .switches = {0, 12}});
  publish("a", {0});
  join_ready(24);
  EXPECT_THAT(grants_, SizeIs(3));
  work();
  EXPECT_EQ(log_->frontier(), 12u);
  EXPECT_EQ(status().state(), StatusReply::STATE_WAITING);
  EXPECT_THAT(status().sentence(), HasSubstr("proposal 12"));
}

TEST_F(CoreTest, GrantsNothingBeforeAVerificationIsWrittenDown) {
  open({});
  publish("a", {0});
  const WorkerId worker = join();
  log_->fails = [](const Write& write) { return !write.verified.empty(); };
  say(worker, ready(1));
  EXPECT_THAT(grants_, IsEmpty());
  EXPECT_FALSE(status().models().versions(0).verified());
  tick();
  EXPECT_THAT(grants_, IsEmpty());
  log_->fails = {};
  tick();
  EXPECT_THAT(grants_, SizeIs(2));
}

TEST_F(CoreTest, ByClockSwitchesAboveEverythingGranted) {
  open({.length = 400, .window = 8, .switches = {}});
  publish("a");
  const WorkerId worker = join_ready(4);
  EXPECT_THAT(take_grants(), SizeIs(4));
  publish("b");
  say(worker, ready(2));
  ASSERT_THAT(log_->switches, SizeIs(2));
  EXPECT_EQ(log_->switches[1].from, 16u);
  for (std::uint64_t unit = 0; unit < 4; ++unit) say(worker, answer(unit));
  for (const Grant& grant : take_grants()) EXPECT_EQ(grant.version, 2u);
}

TEST_F(CoreTest, ByClockALostWorkersUnitIsDrawnAgainUnderItsOldVersion) {
  open({.length = 400, .window = 8, .switches = {}});
  publish("a");
  const WorkerId first = join_ready(1);
  take_grants();
  publish("b");
  say(first, ready(2));
  const WorkerId second = join_ready(1);
  take_grants();
  leave(first);
  leave(second);
  join_ready(8);
  EXPECT_THAT(grants_[0].version, 1u);
  EXPECT_THAT(grants_[1].version, 2u);
}

TEST_F(CoreTest, TellsWatchersOfEachChangeOfVersionsAndSwitches) {
  open({});
  const auto start = core_->models_revision();
  publish("a", {0});
  EXPECT_EQ(core_->models_revision(), start + 1);
  join_ready();
  EXPECT_EQ(core_->models_revision(), start + 3);  // verified, placed
}

}  // namespace
}  // namespace flowloom
