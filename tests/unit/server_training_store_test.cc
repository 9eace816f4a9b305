#include "server/training_store.h"

#include <gtest/gtest.h>

#include "flow/safetensors.h"
#include "server_fakes.h"
#include "spec/files.h"

namespace flowloom {
namespace {

SavedTraining some_training(const RunSpec& run) {
  const FakeEngine engine;
  Trainer trainer(run, engine, 1);
  for (int i = 0; i < 13; ++i) trainer.advance();
  return {
      trainer.state(), {{10, 0.25, {"ESS >= 0.2", "trained"}, std::string(64, 'a')}}, 1.0 / 3, 2.0 / 3, "fake 1", {}};
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(TrainingStore, IsEmptyAtFirst) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(TrainingStore(directory / "train").load(training_run()));
}

TEST(TrainingStore, GivesBackEveryBit) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const SavedTraining saved = some_training(run);
  const TrainingStore store(directory / "train");
  store.save(run, saved);
  const auto loaded = store.load(run);
  ASSERT_TRUE(loaded);
  expect_same(loaded->state, saved.state);
  EXPECT_EQ(loaded->seconds, saved.seconds);
  EXPECT_EQ(loaded->build, saved.build);
  ASSERT_EQ(loaded->publications.size(), 1u);
  EXPECT_EQ(loaded->publications[0].step, 10);
  EXPECT_EQ(loaded->publications[0].reasons, saved.publications[0].reasons);
  EXPECT_EQ(loaded->publications[0].sha256, saved.publications[0].sha256);
}

TEST(TrainingStore, ThirtyStepsAreTenAndARestartAndTwenty) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const FakeEngine engine;
  const auto take_to = [](Trainer& trainer, std::int64_t step) {
    while (trainer.state().step < step) trainer.advance();
  };
  Trainer straight(run, engine, 1);
  take_to(straight, 30);
  {
    Trainer first(run, engine, 2);
    take_to(first, 10);
    TrainingStore(directory / "train").save(run, {first.state(), {}, 0, 0, "fake 1", {}});
  }
  Trainer second(run, engine, 3, TrainingStore(directory / "train").load(run)->state);
  EXPECT_EQ(second.state().step, 10);
  take_to(second, 30);
  EXPECT_EQ(second.state().weights, straight.state().weights);
  EXPECT_EQ(second.state().adam, straight.state().adam);
}

TEST(TrainingStore, GivesBackWhatOnlySomeSettingsNeed) {
  const TemporaryDirectory directory;
  RunSpec run =
      training_run("optimiser = \"amsgrad\"\naverage = 0.8\nmilestones = { plateau = 1, batch_factor = 2 }\n");
  run.train.evaluate_every = 3;
  SavedTraining saved = some_training(run);
  saved.state.ess_from_target = 0.625;
  const TrainingStore store(directory / "train");
  store.save(run, saved);
  const TrainerState state = store.load(run)->state;
  EXPECT_EQ(state.adam, saved.state.adam);
  EXPECT_FALSE(state.adam.largest.empty());
  EXPECT_EQ(state.average, saved.state.average);
  EXPECT_FALSE(state.average.empty());
  EXPECT_EQ(state.plateau, saved.state.plateau);
  EXPECT_EQ(state.last_step.loss, saved.state.last_step.loss);
  EXPECT_EQ(state.last_step.ess, saved.state.last_step.ess);
  EXPECT_EQ(state.last_step.gradient_norm, saved.state.last_step.gradient_norm);
  EXPECT_EQ(state.last_step.learning_rate, saved.state.last_step.learning_rate);
  EXPECT_EQ(state.last_step.batch, saved.state.last_step.batch);
  EXPECT_EQ(state.loss_sum, saved.state.loss_sum);
  EXPECT_EQ(state.loss_count, saved.state.loss_count);
  EXPECT_EQ(state.samples, saved.state.samples);
  EXPECT_EQ(state.ess_from_target, 0.625);
}

TEST(TrainingStore, AnEssThatIsNotThereYetStaysSo) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const FakeEngine engine;
  const TrainingStore store(directory / "train");
  store.save(run, {Trainer(run, engine, 1).state(), {}, 0, 0, "", {}});
  EXPECT_TRUE(std::isnan(store.load(run)->state.ess));
  EXPECT_EQ(store.load(run)->state.evaluated_step, -1);
  EXPECT_EQ(store.load(run)->state.plateau, Plateau());
}

TEST(TrainingStore, OtherSettingsAreRefusedAndNamed) {
  const TemporaryDirectory directory;
  const TrainingStore store(directory / "train");
  store.save(training_run(), some_training(training_run()));
  const auto refusal = [&](const RunSpec& run) {
    ErrorCode code{};
    const std::string sentence = sentence_of([&] { store.load(run); }, &code);
    EXPECT_EQ(code, ErrorCode::kConflict);
    return sentence;
  };
  expect_contains(refusal(training_run("clip = 7.0\n")), "train.clip is 100.0 in the state and 7.0 in the run file");
  expect_contains(refusal(training_run("", "", "seed = 5\n")), "run.seed is 0 in the state and 5 in the run file");
  const std::string coupling = refusal(training_run("", "", "", "lambda = 0.75\n"));
  expect_contains(coupling, "theory.lambda is 0.5 in the state and 0.75 in the run file");
  expect_contains(coupling, "train in another run directory");
  expect_contains(refusal(training_run("", "", "precision = \"float64\"\n")), "precision is \"mixed\" in the state");
}

TEST(TrainingStore, WhereToStopIsNoSettingUnlessTheRateDependsOnIt) {
  const TemporaryDirectory directory;
  const TrainingStore store(directory / "train");
  store.save(training_run("stop = { steps = 20 }\n"), some_training(training_run()));
  EXPECT_TRUE(store.load(training_run("stop = { steps = 50, ess = 0.5 }\n")));

  const std::string cosine = "decay = \"cosine\"\n";
  store.save(training_run(cosine + "stop = { steps = 20 }\n"), some_training(training_run()));
  EXPECT_TRUE(store.load(training_run(cosine + "stop = { steps = 20, ess = 0.5 }\n")));
  expect_contains(sentence_of([&] { store.load(training_run(cosine + "stop = { steps = 50 }\n")); }),
                  "train.stop.steps is 20 in the state and 50 in the run file");
}

TEST(TrainingStore, ATruncatedStateIsRefusedAtEveryLength) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const TrainingStore store(directory / "train");
  store.save(run, some_training(run));
  const auto file = directory / "train" / "state.safetensors";
  const std::string bytes = read_file(file);
  for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 50) {
    write_file_atomically(file, bytes.substr(0, size));
    ErrorCode code{};
    const std::string sentence = sentence_of([&] { store.load(run); }, &code);
    EXPECT_EQ(code, ErrorCode::kCorrupt) << size;
    expect_contains(sentence, "remove it to train again from the start");
  }
}

TEST(TrainingStore, AFlippedBitIsNoticedWhereverItIs) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const TrainingStore store(directory / "train");
  store.save(run, some_training(run));
  const auto file = directory / "train" / "state.safetensors";
  const std::string bytes = read_file(file);
  for (std::size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 200) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    write_file_atomically(file, flipped);
    EXPECT_THROW(store.load(run), Error) << at;
  }
}

TEST(TrainingStore, AFileThatIsNoStateIsRefused) {
  const TemporaryDirectory directory;
  const RunSpec run = training_run();
  const TrainingStore store(directory / "train");
  const auto file = directory / "train" / "state.safetensors";
  write_file_atomically(file, "hello");
  EXPECT_THROW(store.load(run), Error);
  const FakeEngine engine;
  write_file_atomically(file, Trainer(run, engine, 1).candidate()->checkpoint.bytes());  // a checkpoint is none
  expect_contains(sentence_of([&] { store.load(run); }), "it is not a trainer's state");
}

TEST(TrainingStore, BelongsToOneTrainerAtATime) {
  const TemporaryDirectory directory;
  {
    const TrainingStore store(directory / "train");
    expect_contains(sentence_of([&] { TrainingStore second(directory / "train"); }), "Another trainer works in");
  }
  EXPECT_NO_THROW(TrainingStore(directory / "train"));
}

TEST(TrainingStore, ACheckpointIsReadOnlyIfItIsTheOneThatWasWritten) {
  const TemporaryDirectory directory;
  const TrainingStore store(directory / "train");
  const Publication publication{120, 0.5, {"trained"}, to_hex(sha256("bytes"))};
  store.write_checkpoint(publication, "bytes");
  EXPECT_EQ(store.read_checkpoint(publication), "bytes");
  store.write_checkpoint(publication, "other");
  expect_contains(sentence_of([&] { store.read_checkpoint(publication); }), "step-000000120.safetensors");
}

}  // namespace
}  // namespace flowloom
