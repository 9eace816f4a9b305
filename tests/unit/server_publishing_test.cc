#include "server/publishing.h"

#include <gtest/gtest.h>

#include "server_fakes.h"

namespace flowloom {
namespace {

using Reasons = std::vector<std::string>;

RunSpec scheduled() {
  return training_run("stop = { steps = 100 }\n",
                      "versions = [ { from = 0, when = { ess = 0.3 } }, { from = 16, when = { step = 20 } },\n"
                      "  { from = 32, when = { file = \"x.safetensors\" } }, { from = 48, when = \"trained\" },\n"
                      "  { from = 64, when = { ess = 0.3 } } ]\n");
}

TrainerState at(std::int64_t step, double ess, bool evaluated = true) {
  TrainerState state;
  state.step = step;
  state.evaluated_step = evaluated ? step : step - 1;
  state.ess = ess;
  return state;
}

Reasons due(const RunSpec& run, const TrainerState& state, bool finished = false,
            const std::vector<Publication>& published = {}, const Entries& fulfilled = {}) {
  return reasons_to_publish(run, state, finished, open_entries(run.chain, fulfilled, published), published);
}

TEST(Publishing, FilesAreNotTheTrainersBusiness) {
  EXPECT_EQ(open_entries(scheduled().chain, {}, {}), (Entries{0, 1, 3, 4}));
}

TEST(Publishing, AnEntryIsOpenUntilTheCoordinatorOrTheTrainerHasItsCheckpoint) {
  const Publication publication{20, 0.1, {"step 20"}, ""};
  EXPECT_EQ(open_entries(scheduled().chain, {3}, {publication}), (Entries{0, 4}));
}

TEST(ExactnessRule5, AnEssCountsOnlyWhereItWasEvaluated) {
  EXPECT_EQ(due(scheduled(), at(30, 0.3)), Reasons{"ESS >= 0.3"});
  EXPECT_EQ(due(scheduled(), at(30, 0.3, false)), Reasons{});
  EXPECT_EQ(due(scheduled(), at(30, 0.29)), Reasons{});
  EXPECT_EQ(due(scheduled(), at(30, std::nan(""))), Reasons{});
}

TEST(Publishing, OneCheckpointFulfilsEveryEntryWhoseConditionItMeets) {
  const Reasons reasons = due(scheduled(), at(20, 0.5));
  EXPECT_EQ(reasons, (Reasons{"ESS >= 0.3", "step 20"}));
  EXPECT_EQ(entries_of(scheduled().chain, {20, 0.5, reasons, ""}), (Entries{0, 1, 4}));
}

TEST(Publishing, NothingIsPublishedTwice) {
  EXPECT_EQ(due(scheduled(), at(30, 0.5), false, {{20, 0.5, {"ESS >= 0.3"}, ""}}), Reasons{});
  EXPECT_EQ(due(scheduled(), at(30, 0.5), false, {}, {0, 4}), Reasons{});
}

TEST(Publishing, TrainedIsDueWhenTrainingHasStopped) {
  EXPECT_EQ(due(scheduled(), at(100, 0.1), true), Reasons{"trained"});
  EXPECT_EQ(due(scheduled(), at(100, 0.1), false), Reasons{});
}

TEST(Publishing, AsapPublishesTheFirstEvaluationThenEachGainThenTheEnd) {
  const RunSpec run = training_run("publish_gain = 1.25\n", "placement = \"asap\"\n");
  std::vector<Publication> published;
  EXPECT_EQ(due(run, at(5, 0.1, false), false, published), Reasons{});
  EXPECT_EQ(due(run, at(10, 0.1), false, published), Reasons{"gain"});
  published.push_back({10, 0.1, {"gain"}, ""});
  EXPECT_EQ(due(run, at(10, 0.1), false, published), Reasons{}) << "the same state";
  EXPECT_EQ(due(run, at(20, 0.12), false, published), Reasons{});
  EXPECT_EQ(due(run, at(30, 0.125), false, published), Reasons{"gain"});
  EXPECT_EQ(due(run, at(40, 0.11), true, published), Reasons{"trained"});
  EXPECT_EQ(due(run, at(40, 0.2), true, published), (Reasons{"gain", "trained"}));
}

TEST(Publishing, AsapDoesNotPublishAFlowWithoutAnyWeight) {
  const RunSpec run = training_run("", "placement = \"asap\"\n");
  EXPECT_EQ(due(run, at(10, 0.0)), Reasons{});
}

TEST(Publishing, AStepThatHasPassedIsRefused) {
  const RunSpec run = scheduled();
  EXPECT_NO_THROW(refuse_passed_steps(run.chain, {0, 1}, at(20, 0.1)));
  EXPECT_NO_THROW(refuse_passed_steps(run.chain, {0}, at(21, 0.1)));
  const std::string sentence = sentence_of([&] { refuse_passed_steps(run.chain, {0, 1}, at(21, 0.1)); });
  EXPECT_NE(sentence.find("asks for step 20"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("21 steps are done"), std::string::npos) << sentence;
}

TEST(Publishing, TheShortfallSaysWhatToRaise) {
  RunSpec run = scheduled();
  EXPECT_EQ(shortfall(run, at(100, 0.123456), {0}),
            "Training stopped at step 100 with ESS 0.123, short of 'ESS >= 0.3'; raise [train] stop.steps or lower "
            "the condition, "
            "then start again.");
  run.train.decay = LearningRateDecay::kCosine;
  EXPECT_NE(shortfall(run, at(100, 0.1), {0}).find("and remove the training's state"), std::string::npos);
  run.train.stop_ess = 0.2;
  EXPECT_NE(shortfall(run, at(50, 0.21), {0}).find("stop.ess"), std::string::npos);
}

}  // namespace
}  // namespace flowloom
