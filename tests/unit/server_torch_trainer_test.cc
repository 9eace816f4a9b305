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
    const TemporaryDirectory directory;
    {
      Trainer first(run, torch(), 3);
      take_to(first, 10);
      TrainingStore(directory / "train").save(run, {first.state(), {}, 0, 0, torch().build(), {}});
    }
    Trainer second(run, torch(), 2, TrainingStore(directory / "train").load(run)->state);
    take_to(second, 30);
    EXPECT_EQ(second.state().weights, straight.state().weights) << precision;
    EXPECT_EQ(second.state().adam, straight.state().adam) << precision;
    EXPECT_EQ(second.state().last_step.loss, straight.state().last_step.loss) << precision;
  }
}

// phi^4 in its broken phase: two modes far from each other. Samples of the target by Metropolis with flips of the sign.
constexpr char kBroken[] =
    "[run]\nname = \"broken\"\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4\nlambda = 2.5\n"
    "[flow]\nkind = \"affine-coupling\"\nlayers = 6\nhidden = [4]\n"
    "[train]\nbatch = 64\ngradient_unit = 32\nlearning_rate = 0.01\nevaluate_samples = 2048\n";

std::vector<double> broken_phase_samples(const RunSpec& run, std::size_t count) {
  const AnyTheory theory = theory_of(run);
  std::vector<double> field(theory_variables(theory)), samples, uniforms(2 * field.size() + 1);
  const auto action = [&] { return -theory_log_p(theory, theory_sums_of(theory, field)); };
  for (std::uint64_t sweep = 0; samples.size() < count * field.size(); ++sweep) {
    fill_uniform(NoiseKey::from("metropolis"), Purpose::kBase, sweep, uniforms);
    for (std::size_t x = 0; x < field.size(); ++x) {
      const double before = action(), old = field[x];
      field[x] += uniforms[2 * x] - 0.5;
      if (uniforms[2 * x + 1] > std::exp(before - action())) field[x] = old;
    }
    if (uniforms.back() < 0.5) {
      for (double& value : field) value = -value;
    }
    if (sweep >= 200 && sweep % 5 == 0) samples.insert(samples.end(), field.begin(), field.end());
  }
  return samples;
}

TEST(TorchTrainer, SamplesOfTheTargetShowAModeThatTheFlowMissesAndCanTeachIt) {
  const auto train = [](const std::string& more, std::int64_t steps) {
    const RunSpec run = load_run_text(kBroken + more + "stop = { steps = " + std::to_string(steps) +
                                          " }\nevaluate_every = " + std::to_string(steps) + "\n[chain]\nlength = 1\n",
                                      "broken.toml");
    Trainer trainer(run, torch(), 2, {}, broken_phase_samples(run, 400));
    while (trainer.advance() != Trainer::Did::kNothing) {
    }
    return trainer.state();
  };
  const TrainerState reverse = train("", 300);
  EXPECT_GT(reverse.ess, 0.2) << "its own samples see nothing wrong";
  EXPECT_LT(reverse.ess_from_target, 0.01);
  const TrainerState forward = train("target = { samples = \"given\", share = 1 }\n", 300);
  EXPECT_GT(forward.ess_from_target, 10 * reverse.ess_from_target);
}

TEST(TorchTrainer, ItsCheckpointsServeTheLaneEngineToo) {
  Trainer trainer(small_run("mixed"), torch(), 2);
  take_to(trainer, 5);
  const Checkpoint checkpoint = Checkpoint::parse(trainer.candidate()->checkpoint.bytes(), "step 5");
  EXPECT_NO_THROW(refuse_unfit(checkpoint, small_run("mixed"), "step 5"));
  EXPECT_NO_THROW(verify_references(checkpoint, *open_engine("lanes"), "step 5"));
}

}  // namespace
}  // namespace flowloom
