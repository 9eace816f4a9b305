#include "server/trainer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <thread>

#include "server_fakes.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Takes `steps` steps, evaluations on the way included.
void take(Trainer& trainer, std::int64_t steps) {
  const std::int64_t end = trainer.state().step + steps;
  while (trainer.state().step < end && trainer.advance() != Trainer::Did::kNothing) {
  }
}

TEST(Trainer, StartsFromTheArchitecturesWeightsAsFloat32ValuesInMixedPrecision) {
  const FakeEngine engine;
  for (const std::string precision : {"mixed", "float64"}) {
    const RunSpec run = training_run("", "", "precision = \"" + precision + "\"\n");
    std::vector<double> expected = architecture_of(run)->initial_weights(run.noise_key());
    if (precision == "mixed") {
      for (double& weight : expected) weight = static_cast<double>(static_cast<float>(weight));
    }
    EXPECT_EQ(Trainer(run, engine, 1).state().weights, expected);
  }
}

TEST(ExactnessRule5, AStepIsOneUpdateByTheMeanGradientOfItsOwnNoise) {
  const FakeEngine engine;
  const RunSpec run = training_run("", "", "precision = \"float64\"\n");
  Trainer trainer(run, engine, 1);
  for (std::uint64_t step = 0; step < 3; ++step) {
    std::vector<double> weights = trainer.state().weights;
    Adam adam = trainer.state().adam;
    const Gradient whole =
        engine.objective(theory_of(run), architecture_of(run), Precision::kFloat64)
            ->reverse_kl(Estimator::kReparameterised, weights, run.noise_key(), training_index(step, 0), 32);
    std::vector<double> mean = whole.sum;
    double loss = 0, square = 0;
    for (double& slope : mean) {
      slope /= 32;
      square += slope * slope;
    }
    for (const double log_w : whole.log_w) loss -= log_w / 32;
    adam.update(run.train, weights, mean, 0.05, false);
    ASSERT_EQ(trainer.advance(), Trainer::Did::kStep);
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(trainer.state().weights[i], weights[i], 1e-12);
    EXPECT_NEAR(trainer.state().last_step.loss, loss, 1e-12);
    EXPECT_NEAR(trainer.state().last_step.gradient_norm, std::sqrt(square), 1e-12);
  }
}

TEST(Trainer, UsesTheGradientThatTheRunFileNames) {
  const FakeEngine engine;
  const auto norm = [&](const std::string& gradient) {
    Trainer trainer(training_run("gradient = \"" + gradient + "\"\n"), engine, 1);
    trainer.advance();
    return trainer.state().last_step.gradient_norm;
  };
  EXPECT_NE(norm("path"), norm("reparameterised"));
  EXPECT_EQ(norm("path"), norm("path-two-pass"));
  EXPECT_EQ(training_run("gradient = \"path-two-pass\"\n").train.gradient, Estimator::kPathTwoPass);
  EXPECT_EQ(training_run("gradient = \"path\"\n").train.gradient, Estimator::kPath);
}

TEST(Trainer, AStopBetweenEvaluationsThatIsRaisedLaterLeavesNoTrace) {
  const FakeEngine engine;
  const std::string plateau = "milestones = { plateau = 1, progress = 1, rate_factor = 0.5 }\nstop = { steps = ";
  Trainer straight(training_run(plateau + "40 }\n"), engine, 1);
  take(straight, 40);
  Trainer first(training_run(plateau + "25 }\n"), engine, 1);  // evaluations at 10, 20, and 25
  while (first.advance() != Trainer::Did::kNothing) {
  }
  Trainer second(training_run(plateau + "40 }\n"), engine, 1, first.state());
  take(second, 15);
  EXPECT_EQ(second.state().weights, straight.state().weights);
  EXPECT_EQ(second.state().plateau, straight.state().plateau);
}

RC_GTEST_PROP(Trainer, WeightsDoNotDependOnTheNumberOfThreads, ()) {
  const FakeEngine engine;
  const RunSpec run = training_run();
  const auto steps = *rc::gen::inRange<std::int64_t>(1, 25);
  Trainer one(run, engine, 1), many(run, engine, *rc::gen::inRange<std::size_t>(2, 7));
  take(one, steps);
  take(many, steps);
  RC_ASSERT(one.state().weights == many.state().weights);
  RC_ASSERT(one.state().adam == many.state().adam);
  RC_ASSERT(one.state().last_step.loss == many.state().last_step.loss);
}

RC_GTEST_PROP(Trainer, GoesOnBitForBitFromAStateWhereverItWasTaken, ()) {
  const FakeEngine engine;
  const RunSpec run = training_run();
  const auto before = *rc::gen::inRange<std::int64_t>(0, 30);
  Trainer straight(run, engine, 1);
  take(straight, 30);
  Trainer first(run, engine, 3);
  take(first, before);
  Trainer second(run, engine, 2, first.state());
  take(second, 30 - before);
  RC_ASSERT(second.state().weights == straight.state().weights);
  RC_ASSERT(second.state().adam == straight.state().adam);
  RC_ASSERT(second.state().evaluated_step == straight.state().evaluated_step);
}

// Everything that a state can hold, in use.
constexpr char kTargetAndShare[] = "target = { samples = \"given directly\", share = 0.25 }\n";
constexpr char kEverything[] =
    "optimiser = \"amsgrad\"\naverage = 0.8\nmilestones = { plateau = 1, rate_factor = 0.5, batch_factor = 2 }\n";

// The first two variables of 50 samples, the others 0.
std::vector<double> target_samples() {
  std::vector<double> fields(50 * kSites);
  for (std::size_t k = 0; k < 50; ++k) {
    fields[k * kSites] = 0.02 * static_cast<double>(k);
    fields[k * kSites + 1] = std::sin(static_cast<double>(k));
  }
  return fields;
}

TEST(Trainer, GoesOnBitForBitWithEverySettingInUse) {
  const FakeEngine engine;
  RunSpec run = training_run(std::string(kEverything) + kTargetAndShare);
  run.train.evaluate_every = 4;
  Trainer straight(run, engine, 1, {}, target_samples());
  take(straight, 24);
  EXPECT_GT(straight.state().plateau.passed, 1);
  for (std::int64_t before = 0; before <= 24; ++before) {
    Trainer first(run, engine, 3, {}, target_samples());
    take(first, before);
    Trainer second(run, engine, 2, first.state(), target_samples());
    take(second, 24 - before);
    expect_same(second.state(), straight.state());
  }
}

// Files of parallel chains interleave them: a choice with a fixed stride would see one chain alone.
TEST(Trainer, AnEssFromTheTargetSeesBothOfTwoInterleavedChains) {
  const FakeEngine engine;
  const RunSpec run = training_run("target = { samples = \"given directly\" }\nstop = { steps = 1 }\n");
  const std::size_t chosen = run.train.evaluate_samples;
  std::vector<double> fields(2 * chosen * kSites);
  for (std::size_t k = 0; k < 2 * chosen; ++k) fields[k * kSites + 1] = k % 2 == 0 ? 20 : -20;  // log_w
  Trainer trainer(run, engine, 1, {}, fields);
  take(trainer, 1);
  while (trainer.advance() != Trainer::Did::kNothing) {
  }
  EXPECT_LT(trainer.state().ess_from_target, 0.01);  // of either chain alone: 1
}

TEST(ExactnessRule5, AStepThatLearnsFromTheTargetMixesBothDivergences) {
  const FakeEngine engine;
  const RunSpec run = training_run(kTargetAndShare, "", "precision = \"float64\"\n");
  Trainer trainer(run, engine, 3, {}, target_samples());
  const std::vector<double> start = trainer.state().weights;
  ASSERT_EQ(trainer.advance(), Trainer::Did::kStep);

  const auto objective = engine.objective(theory_of(run), architecture_of(run), Precision::kFloat64);
  const Gradient own = objective->reverse_kl(Estimator::kReparameterised, start, run.noise_key(), 0, 32);
  std::vector<double> fields;
  for (std::uint64_t k = 0; k < 32; ++k) {  // the samples that its noise chooses
    const double u = uniforms(run.noise_key(), Purpose::kTarget, k, 0)[0];
    const auto number = std::min<std::size_t>(49, static_cast<std::size_t>((1 - u) * 50));
    const auto samples = target_samples();
    fields.insert(fields.end(), samples.begin() + static_cast<std::ptrdiff_t>(number * kSites),
                  samples.begin() + static_cast<std::ptrdiff_t>((number + 1) * kSites));
  }
  const Gradient target = objective->forward_kl(start, fields);
  double loss = 0, square = 0;
  for (std::size_t k = 0; k < 32; ++k) loss += (-0.75 * own.log_w[k] + 0.25 * target.log_w[k]) / 32;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double slope = (0.75 * own.sum[i] + 0.25 * target.sum[i]) / 32;
    square += slope * slope;
  }
  EXPECT_NEAR(trainer.state().last_step.loss, loss, 1e-12);
  EXPECT_NEAR(trainer.state().last_step.gradient_norm, std::sqrt(square), 1e-12);
}

TEST(Trainer, AGrownBatchIsOneBatchOfMoreUnits) {
  const FakeEngine engine;
  const RunSpec run = training_run("milestones = { at = [2], batch_factor = 4 }\n", "", "precision = \"float64\"\n");
  Trainer trainer(run, engine, 2);
  take(trainer, 2);
  EXPECT_EQ(trainer.state().last_step.batch, 32u);
  EXPECT_EQ(trainer.state().samples, 64);
  const std::vector<double> before = trainer.state().weights;
  take(trainer, 1);
  EXPECT_EQ(trainer.state().last_step.batch, 128u);
  EXPECT_EQ(trainer.state().samples, 192);
  const Gradient whole =
      engine.objective(theory_of(run), architecture_of(run), Precision::kFloat64)
          ->reverse_kl(Estimator::kReparameterised, before, run.noise_key(), training_index(2, 0), 128);
  double square = 0;
  for (const double slope : whole.sum) square += slope / 128 * (slope / 128);
  EXPECT_NEAR(trainer.state().last_step.gradient_norm, std::sqrt(square), 1e-12);
  EXPECT_NEAR(trainer.state().last_step.ess, stats::ess(whole.log_w), 1e-12) << "of the union, not a mean over units";
}

TEST(Trainer, APlateauLowersTheRate) {
  const FakeEngine engine;
  RunSpec run = training_run("milestones = { plateau = 2, rate_factor = 0.5 }\n");
  run.train.evaluate_every = 2;
  Trainer trainer(run, engine, 1);
  take(trainer, 60);
  const std::int64_t passed = trainer.state().plateau.passed;
  ASSERT_GT(passed, 0);
  EXPECT_LT(passed, 16);
  EXPECT_DOUBLE_EQ(trainer.state().last_step.learning_rate, 0.05 * std::pow(0.5, static_cast<double>(passed)));
}

TEST(Trainer, TheAverageOfTheWeightsIsWhatIsEvaluatedAndPublished) {
  const FakeEngine engine;
  const RunSpec run = training_run("average = 0.9\n");
  Trainer trainer(run, engine, 1);
  std::vector<double> average = trainer.state().weights;
  for (std::int64_t step = 0; step < 7; ++step) {
    take(trainer, 1);
    move_average(average, trainer.state().weights, 0.9, step);
  }
  EXPECT_EQ(trainer.state().average, average);
  for (double& value : average) value = static_cast<double>(static_cast<float>(value));
  EXPECT_EQ(trainer.candidate()->checkpoint.weights, average);
  EXPECT_NE(trainer.state().weights, average);
  TrainerState plain = trainer.state();
  plain.average.clear();
  plain.weights = average;
  EXPECT_EQ(trainer.measure_ess(), Trainer(training_run(), engine, 1, plain).measure_ess());
}

TEST(ExactnessRule5, AnEvaluationReadsNoiseOfItsOwnAndChangesNoWeight) {
  const FakeEngine engine;
  const auto weights_after = [&](std::int64_t evaluate_every) {
    RunSpec run = training_run();
    run.train.evaluate_every = evaluate_every;
    Trainer trainer(run, engine, 1);
    while (trainer.state().step < 20 && trainer.advance() != Trainer::Did::kNothing) {
    }
    return trainer.state().weights;
  };
  EXPECT_EQ(weights_after(1), weights_after(1000));
}

TEST(Trainer, EvaluatesEverySoManyStepsAndAtTheEnd) {
  const FakeEngine engine;
  Trainer trainer(training_run("stop = { steps = 25 }\n"), engine, 2);
  std::vector<std::int64_t> evaluated;
  for (;;) {
    const Trainer::Did did = trainer.advance();
    if (did == Trainer::Did::kNothing) break;
    if (did == Trainer::Did::kEvaluation) evaluated.push_back(trainer.state().step);
  }
  EXPECT_EQ(evaluated, (std::vector<std::int64_t>{10, 20, 25}));
  EXPECT_TRUE(trainer.finished());
}

TEST(Trainer, WithoutStepsItIsFinishedAfterOneEvaluation) {
  const FakeEngine engine;
  Trainer trainer(training_run("stop = { steps = 0 }\n"), engine, 1);
  EXPECT_FALSE(trainer.finished());
  EXPECT_EQ(trainer.advance(), Trainer::Did::kEvaluation);
  EXPECT_TRUE(trainer.finished());
  EXPECT_EQ(trainer.advance(), Trainer::Did::kNothing);
}

TEST(Trainer, StopsAtTheFirstEvaluationThatReachesTheEss) {
  const FakeEngine engine;
  Trainer trainer(training_run("stop = { steps = 500, ess = 0.9 }\n"), engine, 1);
  double last = 0;
  while (!trainer.finished()) {
    last = trainer.state().ess;
    ASSERT_NE(trainer.advance(), Trainer::Did::kNothing);
  }
  EXPECT_LT(trainer.state().step, 500);
  EXPECT_EQ(trainer.state().step % 10, 0);
  EXPECT_GE(trainer.state().ess, 0.9);
  EXPECT_LT(last, 0.9);
}

TEST(Trainer, AFinishedTrainingGoesOnAfterItsStopWasRaised) {
  const FakeEngine engine;
  Trainer first(training_run("stop = { steps = 20 }\n"), engine, 1);
  take(first, 1000);
  ASSERT_TRUE(first.finished());
  Trainer second(training_run("stop = { steps = 50 }\n"), engine, 1, first.state());
  EXPECT_FALSE(second.finished());
  take(second, 30);
  Trainer straight(training_run("stop = { steps = 50 }\n"), engine, 1);
  take(straight, 50);
  EXPECT_EQ(second.state().weights, straight.state().weights);
}

TEST(Trainer, TheAverageEssStartsAtTheFirstAndFollowsSlowly) {
  const FakeEngine engine;
  Trainer trainer(training_run(), engine, 1);
  take(trainer, 10);
  ASSERT_EQ(trainer.advance(), Trainer::Did::kEvaluation);
  const double first = trainer.state().ess;
  EXPECT_EQ(trainer.state().ess_average, first);
  take(trainer, 10);
  trainer.advance();
  EXPECT_DOUBLE_EQ(trainer.state().ess_average, 0.9 * first + 0.1 * trainer.state().ess);
}

TEST(Trainer, AStepWhoseGradientIsNotFiniteIsSkippedAndCounted) {
  for (const double poison : {std::nan(""), kInfinity, 1e200}) {  // the last one's norm overflows
    FakeEngine engine;
    engine.disturb_gradient = [&](std::uint64_t first, Gradient& gradient) {
      if (first == training_index(3, 8)) gradient.sum[1] = poison;
    };
    Trainer trainer(training_run(), engine, 2);
    take(trainer, 3);
    const TrainerState before = trainer.state();
    EXPECT_EQ(trainer.advance(), Trainer::Did::kStep);
    EXPECT_EQ(trainer.state().step, 4);
    EXPECT_EQ(trainer.state().skipped, 1);
    EXPECT_EQ(trainer.state().weights, before.weights);
    EXPECT_EQ(trainer.state().adam, before.adam);
    take(trainer, 2);
    EXPECT_EQ(trainer.state().skipped, 1);
    EXPECT_NE(trainer.state().weights, before.weights);
  }
}

TEST(Trainer, AGradientAboveTheClipKeepsItsDirection) {
  const FakeEngine engine;
  const RunSpec run = training_run("clip = 0.125\n", "", "precision = \"float64\"\n");
  Trainer trainer(run, engine, 1);
  trainer.advance();
  ASSERT_GT(trainer.state().last_step.gradient_norm, 0.125);
  double square = 0;  // the first moment is a tenth of the clipped gradient
  for (const double m : trainer.state().adam.first) square += m * m;
  EXPECT_NEAR(std::sqrt(square), 0.0125, 1e-12);
}

TEST(Trainer, InvalidDrawsCountAsWeightZeroInTheEss) {
  FakeEngine engine;
  engine.disturb_draws = [](std::uint64_t, Draws& draws) {
    const std::size_t n = draws.log_p.size();
    for (std::size_t i = 0; i < n; ++i) {
      draws.log_p[i] = draws.log_q[i] = 0;
      if (i % 6 == 1) draws.log_p[i] = std::nan("");
      if (i % 6 == 2) draws.log_p[i] = kInfinity;
      if (i % 6 == 3) draws.log_q[i] = std::nan("");
      if (i % 6 == 4) draws.log_q[i] = -kInfinity;
      if (i % 6 == 5) draws.log_p[i] = -kInfinity;
    }
  };
  RunSpec run = training_run();
  run.train.evaluate_samples = 240;
  Trainer trainer(run, engine, 2);
  EXPECT_NEAR(trainer.measure_ess().value(), 1.0 / 6, 1e-12);
  engine.disturb_draws = [](std::uint64_t, Draws& draws) {
    for (double& value : draws.log_q) value = std::nan("");
  };
  EXPECT_EQ(trainer.measure_ess(), 0.0);
}

TEST(Trainer, MeasuringTheEssChangesNothing) {
  const FakeEngine engine;
  Trainer trainer(training_run(), engine, 2);
  take(trainer, 7);
  const TrainerState before = trainer.state();
  const double ess = trainer.measure_ess().value();
  EXPECT_EQ(trainer.measure_ess(), ess);
  EXPECT_EQ(trainer.state().weights, before.weights);
  EXPECT_EQ(trainer.state().evaluated_step, before.evaluated_step);
}

TEST(Trainer, AStopLeavesTheStateAsItWas) {
  FakeEngine engine;
  std::stop_source stop;
  engine.disturb_gradient = [&](std::uint64_t first, Gradient&) {
    if (first == training_index(5, 8)) stop.request_stop();
  };
  Trainer trainer(training_run(), engine, 1);
  take(trainer, 5);
  const TrainerState before = trainer.state();
  EXPECT_EQ(trainer.advance(stop.get_token()), Trainer::Did::kNothing);
  EXPECT_FALSE(trainer.finished());
  EXPECT_EQ(trainer.state().step, 5);
  EXPECT_EQ(trainer.state().weights, before.weights);
  engine.disturb_gradient = [](std::uint64_t, Gradient&) {};
  take(trainer, 3);
  Trainer straight(training_run(), engine, 1);
  take(straight, 8);
  expect_same(trainer.state(), straight.state());
}

TEST(Trainer, ACheckpointHasTheStatesWeightsAndTheEnginesReferences) {
  const FakeEngine engine;
  Trainer trainer(training_run(), engine, 1);
  take(trainer, 4);
  const Checkpoint checkpoint = trainer.candidate()->checkpoint;
  EXPECT_EQ(checkpoint.training_step, 4);
  EXPECT_EQ(checkpoint.weights, trainer.state().weights);
  EXPECT_EQ(checkpoint.references.log_p.size(), kReferenceDraws);
  EXPECT_EQ(checkpoint.bytes(), trainer.candidate()->checkpoint.bytes());
}

TEST(ExactnessRule9, ACheckpointsThresholdIsOneAboveTheLargestLogWeightOfTheGateDraws) {
  const FakeEngine engine;
  const RunSpec run = training_run();
  Trainer trainer(run, engine, 2);
  take(trainer, 4);
  const Checkpoint checkpoint = trainer.candidate()->checkpoint;
  const Draws draws = make_model(checkpoint, theory_of(run), engine)
                          ->draw(run.noise_key(), Purpose::kGate, 0, kGateDraws, Fields::kDropped);
  double largest = -HUGE_VAL;
  for (std::size_t i = 0; i < kGateDraws; ++i) largest = std::max(largest, draws.log_p[i] - draws.log_q[i]);
  EXPECT_EQ(checkpoint.threshold, largest + 1);
}

// Somebody who computes some of the units, in a strange order, twice, too late, or not at all.
class FakeHelp final : public GradientHelp {
 public:
  FakeHelp(const RunSpec& run, const Engine& engine, std::uint64_t seed)
      : run_(run),
        objective_(engine.objective(theory_of(run), architecture_of(run), run.numerics.precision)),
        seed_(seed) {}

  void offer(const Step& step, Arrived arrived) override {
    offered_ = step.units;
    std::vector<double> uniforms(2 * step.units);
    fill_uniform(NoiseKey::from("help"), Purpose::kInit, seed_ + static_cast<std::uint64_t>(step.number), uniforms);
    helper_ = std::jthread([=, this,
                            weights = std::vector(step.weights.begin(), step.weights.end())](std::stop_token stop) {
      for (std::size_t k = 0; k < 2 * step.units && !stop.stop_requested(); ++k) {
        const auto unit = static_cast<std::size_t>(uniforms[k] * 0.999 * static_cast<double>(step.units));
        const std::uint64_t first = training_index(static_cast<std::uint64_t>(step.number), unit * step.unit_size);
        arrived(unit, objective_->reverse_kl(run_.train.gradient, weights, run_.noise_key(), first, step.unit_size));
      }
    });
  }
  void taken(std::size_t) override { ++taken_; }
  void withdraw() override { helper_ = {}; }

  std::atomic<std::size_t> taken_ = 0;
  std::size_t offered_ = 0;  // units of the last step

 private:
  RunSpec run_;
  std::unique_ptr<Objective> objective_;
  std::uint64_t seed_;
  std::jthread helper_;
};

TEST(Trainer, TheWeightsDoNotDependOnWhoComputesAGradient) {
  for (const std::string& train : {std::string(), std::string("gradient = \"path\"\n")}) {
    const RunSpec run = training_run(train);
    const Engine& engine = lane_engine();
    Trainer alone(run, engine, 1);
    take(alone, 25);
    std::int64_t helped = 0;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      FakeHelp help(run, engine, 1000 * seed);
      Trainer together(run, engine, 1 + seed % 2, {}, {}, &help);
      take(together, 25);
      expect_same(together.state(), alone.state());
      EXPECT_GT(help.taken_, 0u);
      helped += together.helped_units();
    }
    EXPECT_GT(helped, 0);
  }
}

TEST(Trainer, UnitsOfTheTargetAreNotOffered) {
  std::vector<double> target(10 * kSites);
  fill_normal(NoiseKey::from("target"), Purpose::kInit, 0, target);
  const auto train = [](double share) {
    return "target = { samples = \"t.txt\", share = " + std::to_string(share) + " }\n";
  };
  for (const double share : {0.5, 1.0}) {
    const RunSpec run = training_run(train(share));
    const FakeEngine engine;
    Trainer alone(run, engine, 1, {}, target);
    FakeHelp help(run, engine, 0);
    Trainer together(run, engine, 2, {}, target, &help);
    take(alone, 5);
    take(together, 5);
    expect_same(together.state(), alone.state());
    EXPECT_EQ(help.offered_, share < 1 ? 8u : 0u);
  }
}

TEST(Trainer, AStepThatThrowsTakesItsOfferBack) {
  FakeEngine engine;
  engine.disturb_gradient = [](std::uint64_t, Gradient&) { throw Error(ErrorCode::kInternal, "broken"); };
  const RunSpec run = training_run();
  struct : GradientHelp {
    void offer(const Step&, Arrived) override { ++offers; }
    void taken(std::size_t) override {}
    void withdraw() override { ++withdrawals; }
    int offers = 0, withdrawals = 0;
  } help;
  Trainer trainer(run, engine, 1, {}, {}, &help);
  EXPECT_THROW(trainer.advance(), Error);
  EXPECT_EQ(help.offers, 1);
  EXPECT_EQ(help.withdrawals, 1);
}

}  // namespace
}  // namespace flowloom
