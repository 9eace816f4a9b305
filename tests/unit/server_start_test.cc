#include "server/start.h"

#include <gtest/gtest.h>

#include "flow/safetensors.h"
#include "server/training_store.h"
#include "server_fakes.h"
#include "spec/files.h"

namespace flowloom {
namespace {

std::string from(const std::string& path, const std::string& optimiser = "drop") {
  return "start = { from = \"" + path + "\", optimiser = \"" + optimiser + "\" }\n";
}

// A run directory with a training in it, and a checkpoint, both after seven steps.
class StartTest : public testing::Test {
 protected:
  StartTest() {
    const FakeEngine engine;
    const RunSpec run = training_run("optimiser = \"amsgrad\"\n");
    Trainer trainer(run, engine, 1);
    while (trainer.state().step < 7) trainer.advance();
    trained_ = trainer.state();
    std::filesystem::create_directories(directory_ / "old");
    TrainingStore(directory_ / "old" / "train").save(run, {trained_, {}, 0, 0, "fake 1", {}});
    write_file_atomically(directory_ / "old.safetensors", trainer.candidate()->checkpoint.bytes());
  }

  TrainerState start(const RunSpec& run) const { return starting_state(run, directory_ / ""); }
  std::string refusal(const RunSpec& run) const {
    return sentence_of([&] { start(run); });
  }

  TemporaryDirectory directory_;
  TrainerState trained_;
};

TEST_F(StartTest, ACheckpointsWeightsGoToAnotherCouplingAndPrecision) {
  const TrainerState state =
      start(training_run(from("old.safetensors"), "", "precision = \"float64\"\n", "lambda = 0.75\n"));
  EXPECT_EQ(state.weights, trained_.weights);
  EXPECT_EQ(state.step, 0);
  EXPECT_EQ(state.adam, Adam(state.weights.size()));
}

TEST_F(StartTest, ARunsWeightsGoToAnotherVolume) {
  const RunSpec run = load_run_text(
      [&] {
        std::string text = training_run(from("old")).toml;
        return text.replace(text.find("4, 4"), 4, "8, 6");
      }(),
      "larger.toml");
  EXPECT_EQ(theory_geometry(theory_of(run)).sites(), 48u);
  EXPECT_EQ(start(run).weights, trained_.weights);
}

TEST_F(StartTest, TheOptimiserGoesOnOnlyIfItIsKept) {
  EXPECT_EQ(start(training_run(from("old", "keep"))).adam, trained_.adam);
  EXPECT_FALSE(trained_.adam.largest.empty());
  EXPECT_EQ(start(training_run(from("old"))).adam, Adam(trained_.weights.size()));
  EXPECT_EQ(start(training_run(from("old/train", "keep"))).adam, trained_.adam) << "a state directory serves as well";
}

TEST_F(StartTest, AnAverageStartsAtTheWeights) {
  EXPECT_EQ(start(training_run("average = 0.9\n" + from("old"))).average, trained_.weights);
}

TEST_F(StartTest, WhatDoesNotFitIsRefusedWithTheWayOut) {
  RunSpec other = load_run_text(
      [&] {
        std::string text = training_run(from("old")).toml;
        return text.replace(text.find("layers = 2"), 10, "layers = 3");
      }(),
      "other.toml");
  EXPECT_EQ(refusal(other),
            "[train] start: 'old' has flow.layers = 2, this run 3; weights go only to the same "
            "architecture. Make them equal.");
  EXPECT_EQ(
      refusal(training_run(from("old.safetensors", "keep"))),
      "[train] start: 'old.safetensors' is a checkpoint, which has no optimiser's state; name the run's directory, or "
      "set optimiser = \"drop\".");
  std::filesystem::create_directories(directory_ / "empty");
  EXPECT_EQ(refusal(training_run(from("empty"))),
            "[train] start: 'empty' has no training's state (train/state.safetensors).");
  EXPECT_NE(refusal(training_run(from("nothing"))).find("nothing"), std::string::npos);
}

TEST_F(StartTest, SamplesOfTheTargetMustFitTheLattice) {
  const RunSpec run = training_run();
  const auto file = directory_ / "target.safetensors";
  const auto refusal = [&](const Tensor& tensor) {
    SafeTensors content;
    content.tensors = {tensor};
    write_file_atomically(file, write_safetensors(content));
    return sentence_of([&] { read_target_samples(file, run); });
  };
  std::vector<double> values(32);
  values[17] = 0.5;
  EXPECT_EQ(refusal({"fields", {2, 4, 4}, values}), "");
  EXPECT_EQ(read_target_samples(file, run), values);
  EXPECT_NE(refusal({"fields", {4, 4, 2}, values}).find("of shape [4,4,2]; a run on [4,4] wants [samples, 4,4]"),
            std::string::npos);
  EXPECT_NE(refusal({"phi", {2, 4, 4}, values}).find("has no tensor 'fields'"), std::string::npos);
  values[17] = std::nan("");
  EXPECT_NE(refusal({"fields", {2, 4, 4}, values}).find("not finite in sample 1"), std::string::npos);
}

}  // namespace
}  // namespace flowloom
