#include "coordinator/opening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_run.h"

namespace flowloom {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OpeningTest : public testing::Test {
 protected:
  // The run file's text; `versions` as TOML replaces the usual schedule.
  void write(const std::string& text) { write_file_atomically(run_file_, text); }
  static std::string with_versions(const std::string& versions, const RunText& text = {}) {
    RunText asap = text;
    asap.switches.clear();
    std::string toml = asap.text();
    toml.replace(toml.find("placement = \"asap\""), 18, "versions = " + versions);
    return toml;
  }
  OpenedRun open(const std::vector<std::string>& overrides = {}) { return open_run(directory_, run_file_, overrides); }
  OpenedRun reopen() { return open_run(directory_, std::nullopt, {}); }

  Error refusal(const std::vector<std::string>& overrides = {}) {
    return error_of_opening([&] { open(overrides); });
  }
  std::vector<std::string> policy_events() {
    std::vector<std::string> texts;
    for (const auto& event : Store::open(directory_.store(), Store::Mode::kReadOnly).events()) {
      if (event.kind == "policy") texts.push_back(event.text);
    }
    return texts;
  }
  // A store in which the switch at proposal 0 is placed and `units` units are committed.
  void run_a_little(std::uint64_t units) {
    OpenedRun opened = open();
    const auto row = register_model(opened.store, directory_, opened.run, checkpoint_bytes(opened.run), 0, "test", {0});
    opened.store.write(
        {.switches = {{0, 1, row.sha256, opened.run.chain.asap ? Placement::kClock : Placement::kSchedule}}});
    for (std::uint64_t unit = 0; unit < units; ++unit) {
      opened.store.append({UnitRecord{random_unit(opened.run, unit), std::vector<std::uint8_t>(opened.run.unit, 0)}});
    }
  }

  TemporaryDirectory temporary_;
  RunDirectory directory_{temporary_.path() / "run"};
  std::filesystem::path run_file_ = temporary_.path() / "test.toml";
};

TEST_F(OpeningTest, MakesANewDirectory) {
  write(RunText{}.text());
  const OpenedRun opened = open();
  EXPECT_EQ(opened.recovered.epoch, 1u);
  EXPECT_THAT(opened.recovered.run_id, SizeIs(32));
  EXPECT_EQ(directory_.read_run_file(), opened.run.toml);
  EXPECT_EQ(opened.store.identity(), opened.run.identity());
  EXPECT_THAT(directory_.token(), SizeIs(64));
}

TEST_F(OpeningTest, TwoRunsOfOneFileHaveTwoIdsAndOneIdentity) {
  write(RunText{}.text());
  const OpenedRun one = open();
  const OpenedRun other = open_run(RunDirectory(temporary_.path() / "other"), run_file_, {});
  EXPECT_NE(one.recovered.run_id, other.recovered.run_id);
  EXPECT_EQ(one.store.head(), other.store.head());
}

TEST_F(OpeningTest, OpensItAgainWithAndWithoutTheRunFile) {
  write(RunText{}.text());
  const std::string id = open().recovered.run_id;
  EXPECT_EQ(open().recovered.run_id, id);
  const OpenedRun opened = reopen();
  EXPECT_EQ(opened.recovered.run_id, id);
  EXPECT_EQ(opened.recovered.epoch, 3u);
  EXPECT_EQ(opened.store.events().size(), 0u);
}

TEST_F(OpeningTest, RefusesASecondCoordinator) {
  write(RunText{}.text());
  const OpenedRun first = open();
  const Error error = refusal();
  EXPECT_EQ(error.code(), ErrorCode::kInUse);
  EXPECT_THAT(error.what(), HasSubstr("owned by another process"));
}

TEST_F(OpeningTest, RefusesADirectoryWhoseStoreIsGone) {
  write(RunText{}.text());
  run_a_little(2);
  std::filesystem::remove(directory_.store());
  EXPECT_EQ(refusal().code(), ErrorCode::kConflict);
  EXPECT_THAT(refusal().what(), HasSubstr("its chain.sqlite is gone"));
  EXPECT_FALSE(directory_.exists()) << "nothing takes its place";
}

TEST_F(OpeningTest, RefusesADirectoryWithoutARunAndWithoutARunFile) {
  const Error error = error_of_opening([&] { reopen(); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("name a run file with --run"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path()));
}

TEST_F(OpeningTest, RefusesARunFileThatIsMissing) {
  const Error error = refusal();
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("test.toml"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path()));
}

TEST_F(OpeningTest, RefusesOverridesWithoutARunFile) {
  write(RunText{}.text());
  open();
  const Error error = error_of_opening([&] { open_run(directory_, std::nullopt, {"chain.length=8"}); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
}

TEST_F(OpeningTest, RefusesAnotherIdentityAndNamesTheKeyAndBothValues) {
  write(RunText{}.text());
  open();
  const Error error = refusal({"theory.lambda=0.75"});
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr("theory.lambda is 0.5 in the directory and 0.75 in the run file"));
  EXPECT_THAT(reopen().run.toml, HasSubstr("lambda = 0.5"));
}

TEST_F(OpeningTest, RefusesAnotherUnitSize) {
  write(RunText{}.text());
  open();
  EXPECT_THAT(refusal({"run.unit=8"}).what(), HasSubstr("unit is 4 in the directory and 8 in the run file"));
}

TEST_F(OpeningTest, RefusesARunFileInTheDirectoryThatWasExchanged) {
  write(RunText{}.text());
  open();
  directory_.write_run_file(RunText{.seed = 9}.text());
  const Error error = error_of_opening([&] { reopen(); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), HasSubstr("put the original back"));
}

TEST_F(OpeningTest, TakesOverAChangedPolicyAndLogsEachChange) {
  write(RunText{}.text());
  open();
  {
    EXPECT_EQ(open({"chain.length=200", "chain.window=7"}).run.chain.length, 200u);
  }
  EXPECT_THAT(policy_events(), testing::UnorderedElementsAre("chain.length: 96 -> 200", "chain.window: 5 -> 7"));
  EXPECT_EQ(reopen().run.chain.length, 200u);
}

// Rules 4 and 5: what is drawn next was decided with the chain in sight.
TEST_F(OpeningTest, LogsADecisionIfTheRestIsDrawnUnderOtherVersionsThanTheRunFileSaid) {
  write(RunText{.switches = {0, 40}}.text());
  run_a_little(1);
  const Sha256 before = reopen().store.head();
  EXPECT_EQ(open({"chain.length=800"}).store.head(), before) << "a longer chain is the same chain continued";

  const OpenedRun opened = open({"chain.length=800", "train.batch=128"});
  EXPECT_NE(opened.store.head(), before);
  ChainEnd end(opened.run);
  opened.store.for_each(1, [&](const LinkedRecord& linked) {
    end.add(linked.record);
    return true;
  });
  ASSERT_THAT(end.decisions(), SizeIs(1));
  EXPECT_EQ(end.decisions()[0].at, 4u);
  EXPECT_THAT(end.decisions()[0].text, HasSubstr("train.batch"));
}

TEST_F(OpeningTest, RefusesAMovedSwitchThatWasPlacedAndTouchesNothing) {
  write(RunText{.switches = {0, 40}}.text());
  run_a_little(3);
  {
    OpenedRun opened = reopen();
    opened.store.write({.switches = {{40, 1, opened.store.models()[0].sha256}}});
  }
  write(RunText{.length = 200, .switches = {0, 48}}.text());
  const Error error = refusal();
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr("a switch at proposal 40"));
  EXPECT_EQ(reopen().run.chain.length, 96u);
  EXPECT_THAT(policy_events(), IsEmpty());
}

TEST_F(OpeningTest, RefusesAnotherCheckpointForASwitchThatWasPlaced) {
  write(with_versions("[ { from = 0, when = { step = 3 } } ]"));
  run_a_little(3);
  write(with_versions("[ { from = 0, when = { step = 4 } } ]"));
  EXPECT_THAT(refusal().what(), HasSubstr("placed by 'step 3', and the run file says 'step 4'"));
}

TEST_F(OpeningTest, RefusesANewSwitchBelowTheFrontier) {
  write(RunText{}.text());
  run_a_little(10);
  write(RunText{.switches = {0, 36}}.text());
  EXPECT_THAT(refusal().what(), HasSubstr("new switch at proposal 36, and the chain is past it (40)"));
  write(RunText{.switches = {0, 40}}.text());
  EXPECT_EQ(open().run.chain.versions.size(), 2u);
}

TEST_F(OpeningTest, ForgetsWhatFulfilledAnEntryWhoseConditionChanged) {
  write(with_versions("[ { from = 0, when = { step = 3 } }, { from = 40, when = { step = 5 } } ]"));
  {
    OpenedRun opened = open();
    register_model(opened.store, directory_, opened.run, checkpoint_bytes(opened.run), 0, "test", {0, 1});
  }
  write(with_versions("[ { from = 0, when = { step = 3 } }, { from = 40, when = { step = 6 } } ]"));
  const auto fulfilled = open().recovered.fulfilled;
  ASSERT_THAT(fulfilled, SizeIs(1));
  EXPECT_EQ(fulfilled[0].first, 0u);
}

// ---------------------------------------------------------------------------------------- checkpoints from files

TEST_F(OpeningTest, RegistersCheckpointsThatTheRunFileNames) {
  const RunSpec run = RunText{}.run();
  write_file_atomically(temporary_.path() / "a.safetensors", checkpoint_bytes(run, "a", 3));
  write_file_atomically(temporary_.path() / "b.safetensors", checkpoint_bytes(run, "b"));
  write(with_versions(
      "[ { from = 0, when = { file = 'a.safetensors' } }, { from = 8, when = { file = 'b.safetensors' } }, "
      "{ from = 40, when = { file = 'a.safetensors' } } ]"));
  for (int start = 0; start < 2; ++start) {
    const OpenedRun opened = open();
    ASSERT_THAT(opened.recovered.models, SizeIs(2));
    EXPECT_EQ(opened.recovered.models[0].training_step, 3);
    EXPECT_FALSE(opened.recovered.models[0].verified);
    using Rows = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
    EXPECT_EQ(opened.recovered.fulfilled, (Rows{{0, 1}, {1, 2}, {2, 1}}));
    EXPECT_EQ(read_file(directory_.model(1)), checkpoint_bytes(run, "a", 3));
    // Later starts have them in the registry.
    std::filesystem::remove(temporary_.path() / "a.safetensors");
  }
}

TEST_F(OpeningTest, RefusesAMissingCheckpointBeforeAnythingIsMade) {
  write(with_versions("[ { from = 0, when = { file = 'a.safetensors' } } ]"));
  EXPECT_EQ(refusal().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_.path()));
}

TEST_F(OpeningTest, RefusesACheckpointThatDoesNotFitBeforeAnythingIsMade) {
  RunText text;
  std::string other = text.text();
  other.replace(other.find("float64"), 7, "mixed");
  write_file_atomically(temporary_.path() / "a.safetensors", checkpoint_bytes(load_run_text(other, "other.toml")));
  write(with_versions("[ { from = 0, when = { file = 'a.safetensors' } } ]"));
  const Error error = refusal();
  EXPECT_THAT(error.what(), HasSubstr("a.safetensors"));
  EXPECT_THAT(error.what(), HasSubstr("mixed"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path()));
}

TEST_F(OpeningTest, RegistersEqualBytesOnce) {
  write(RunText{.switches = {0, 40}}.text());
  OpenedRun opened = open();
  const std::string bytes = checkpoint_bytes(opened.run);
  const auto first = register_model(opened.store, directory_, opened.run, bytes, 0.5, "one", {0});
  const auto second = register_model(opened.store, directory_, opened.run, bytes, 0.7, "other", {1});
  EXPECT_EQ(first.version, second.version);
  EXPECT_THAT(opened.store.models(), SizeIs(1));
  EXPECT_THAT(opened.store.fulfilled(), SizeIs(2));
}

TEST_F(OpeningTest, TakesAThresholdFromACheckpointOfItsOwnTheoryOnly) {
  write(RunText{}.text());
  OpenedRun opened = open();
  const auto threshold_of = [&](Checkpoint checkpoint) {
    checkpoint.threshold = 7.5;
    register_model(opened.store, directory_, opened.run, checkpoint.bytes(), 0.5, "test", {});
    return opened.store.models().back().threshold;
  };
  Checkpoint checkpoint = Checkpoint::parse(checkpoint_bytes(opened.run), "test");
  EXPECT_EQ(threshold_of(checkpoint), 7.5);
  std::string other = RunText{}.text();
  other.replace(other.find("lambda = "), 9, "lambda = 1");
  checkpoint.theory = load_run_text(other, "other.toml").theory;
  EXPECT_EQ(threshold_of(checkpoint), std::numeric_limits<double>::infinity());
}

TEST_F(OpeningTest, RegistersNothingThatIsNoCheckpoint) {
  write(RunText{}.text());
  OpenedRun opened = open();
  EXPECT_THROW(register_model(opened.store, directory_, opened.run, "foreign bytes", 0, "test", {0}), Error);
  EXPECT_THAT(opened.store.models(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(directory_.model(1)));
}

// A start that died between the directory's files and its store.
TEST_F(OpeningTest, FinishesAStartThatWasCutShort) {
  write(RunText{}.text());
  directory_.create();
  directory_.write_run_file(RunText{.seed = 9}.text());
  const OpenedRun opened = open();
  EXPECT_EQ(opened.run.identity(), RunText{}.run().identity());
  EXPECT_EQ(directory_.read_run_file(), opened.run.toml);
}

}  // namespace
}  // namespace flowloom
