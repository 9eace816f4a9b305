#include "coordinator/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"
#include "flow/catalog.h"
#include "program/rpc.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// -------------------------------------------------------------------------------------------------------- Hello

class CoreHelloTest : public CoreTest {
 protected:
  void SetUp() override {
    open({});
    publish("a", {0});
  }
  // The code of the refusal of a Hello, which must leave a good worker welcome.
  Refusal refusal_of(const flowloom::v1::Hello& message) {
    const WorkerId id = join(message);
    say(id, ready(1));  // ignored
    EXPECT_FALSE(log_->models[0].verified);
    EXPECT_THAT(welcomes_, IsEmpty());
    EXPECT_THAT(refusals_, SizeIs(1));
    return refusals_.empty() ? Refusal() : refusals_[0];
  }
};

TEST_F(CoreHelloTest, WelcomesAWorkerWithTheRunFile) {
  join();
  ASSERT_THAT(welcomes_, SizeIs(1));
  EXPECT_EQ(welcomes_[0].run_file(), run_.toml);
  EXPECT_EQ(welcomes_[0].run_id(), "0123456789abcdef0123456789abcdef");
  const Sha256 identity = run_.identity();
  EXPECT_EQ(welcomes_[0].identity(), std::string(identity.begin(), identity.end()));
  EXPECT_EQ(welcomes_[0].epoch(), 1u);
}

TEST_F(CoreHelloTest, RefusesAnotherProtocol) {
  auto message = hello();
  message.set_protocol("flowloom.v2");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesMoreCreditsThanThereMayBe) {
  EXPECT_EQ(refusal_of(hello(limits::kCredits + 1)).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesANameThatIsTooLong) {
  auto message = hello();
  message.set_name(std::string(limits::kNameBytes + 1, 'x'));
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesADeviceNameThatIsTooLong) {
  auto message = hello();
  message.set_device(std::string(limits::kNameBytes + 1, 'x'));
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesAHelloThatIsTooLargeWithoutRepeatingIt) {
  auto message = hello();
  message.set_protocol(std::string(limits::kHelloBytes, 'x'));
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_PROTOCOL);
  EXPECT_LT(refusal.sentence().size(), 200u);
}

TEST_F(CoreHelloTest, RefusesAWorkerOfAnotherRun) {
  auto message = hello();
  message.mutable_run()->set_run_id("ffffffffffffffffffffffffffffffff");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_WRONG_RUN);
}

TEST_F(CoreHelloTest, RefusesAWorkerThatExpectsAnotherIdentity) {
  auto message = hello();
  message.set_identity(std::string(32, '\1'));
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_WRONG_RUN);
  EXPECT_THAT(refusal.sentence(), HasSubstr(to_hex(run_.identity())));
}

TEST_F(CoreHelloTest, RefusesAnotherEngine) {
  auto message = hello();
  message.mutable_engines(0)->set_engine("torch");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherPrecision) {
  auto message = hello();
  message.mutable_engines(0)->set_precision("mixed");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherRevision) {
  auto message = hello();
  message.mutable_engines(0)->set_revision(kNumericsRevision + 1);
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherBuildThanTheFirstWorkersEvenAfterARestart) {
  join();
  EXPECT_EQ(log_->pinned, "test build");
  restart();
  welcomes_.clear();
  auto message = hello();
  message.mutable_engines(0)->set_build("another");
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_NUMERICS);
  EXPECT_THAT(refusal.sentence(), HasSubstr("test build"));
}

TEST_F(CoreHelloTest, PinsTheBuildOfTheEngineThatTheRunNames) {
  auto message = hello();
  for (const int revision : {kNumericsRevision - 1, kNumericsRevision + 1}) {
    auto* other = message.add_engines();
    *other = message.engines(0);
    other->set_revision(revision);
    other->set_build("another");
  }
  message.mutable_engines()->SwapElements(0, 1);
  join(message);
  EXPECT_EQ(log_->pinned, "test build");
}

TEST_F(CoreHelloTest, GrantsNothingBeforeTheBuildIsWrittenDown) {
  log_->fails = [](const Write&) { return true; };
  const WorkerId worker = join();
  say(worker, ready(1));
  EXPECT_THAT(welcomes_, SizeIs(1));
  EXPECT_THAT(grants_, IsEmpty());
  auto message = hello();
  message.mutable_engines(0)->set_build("another");
  join(message);
  EXPECT_THAT(refusals_, SizeIs(1)) << "the first worker's build is decided already";
  log_->fails = {};
  tick();
  EXPECT_EQ(log_->pinned, "test build");
  EXPECT_THAT(grants_, SizeIs(2));
}

// -------------------------------------------------------------------------------------- versions, switches, grants

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
  say(worker_, message);
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
  message.mutable_sample()->set_log_p(pack(std::vector<double>(4, odd)));
  say(worker_, message);
  const auto& unit = std::get<UnitRecord>(log_->records.at(1));
  EXPECT_EQ(std::bit_cast<std::uint64_t>(unit.data.log_p[0]), 0x7ff8000000000000ULL);
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

// ------------------------------------------------------------------------------------------------------ reweigh

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
