// The trainer with LibTorch's gradients on a small lattice.
#include <gtest/gtest.h>

#include "server/trainer.h"
#include "server/training_store.h"
#include "server_fakes.h"

namespace flowloom {
namespace {

// Free of the fake engine's coarse rate; the free theory is learnt fast.
RunSpec small_run(const std::string& precision) {
  RunSpec run = training_run("", "", "precision = \"" + precision + "\"\n");
  run.train.batch = 64;
  run.train.gradient_unit = 16;
  run.train.learning_rate = 0.005;
  return run;
}

void take_to(Trainer& trainer, std::int64_t step) {
  while (trainer.state().step < step) ASSERT_NE(trainer.advance(), Trainer::Did::kNothing);
}

TEST(TorchTrainer, TrainingRaisesTheEss) {
  Trainer trainer(small_run("mixed"), torch(), 2);
  const double before = trainer.measure_ess().value();
  take_to(trainer, 150);
  const double after = trainer.measure_ess().value();
  EXPECT_GT(after, 1.5 * before);
  EXPECT_EQ(trainer.state().skipped, 0);
  for (const double weight : trainer.state().weights) {
    ASSERT_EQ(weight, static_cast<double>(static_cast<float>(weight)));
  }
}

TEST(TorchTrainer, WeightsAreEqualInBitsOnAnyNumberOfThreadsAndAcrossARestart) {
  for (const std::string precision : {"mixed", "float64"}) {
    const RunSpec run = small_run(precision);
    Trainer straight(run, torch(), 1);
    take_to(straight, 30);
    const TestDirectory directory;
    {
      Trainer first(run, torch(), 3);
      take_to(first, 10);
      TrainingStore(directory / "train").save(run, {first.state(), {}, 0, torch().build()});
    }
    Trainer second(run, torch(), 2, TrainingStore(directory / "train").load(run)->state);
    take_to(second, 30);
    EXPECT_EQ(second.state().weights, straight.state().weights) << precision;
    EXPECT_EQ(second.state().adam, straight.state().adam) << precision;
    EXPECT_EQ(second.loss(), straight.loss()) << precision;
  }
}

TEST(TorchTrainer, ItsCheckpointsServeTheScalarEngineToo) {
  Trainer trainer(small_run("mixed"), torch(), 2);
  take_to(trainer, 5);
  const Checkpoint checkpoint = Checkpoint::parse(trainer.checkpoint().bytes(), "step 5");
  EXPECT_NO_THROW(refuse_unfit(checkpoint, small_run("mixed"), "step 5"));
  EXPECT_NO_THROW(verify_references(checkpoint, *open_engine("scalar"), "step 5"));
}

}  // namespace
}  // namespace flowloom
