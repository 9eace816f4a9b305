// Our optimiser and schedules against LibTorch's.
#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#include <torch/optim/schedulers/step_lr.h>

#include "server/adam.h"
#include "server/schedule.h"
#include "spec/noise.h"

namespace flowloom {
namespace {

constexpr std::size_t kWeights = 7;

std::vector<double> gradient_of_step(std::uint64_t step) {
  std::vector<double> gradient(kWeights);
  fill_normal(NoiseKey::from("gradients"), Purpose::kTrain, step, gradient);
  for (std::size_t i = 0; i < kWeights; ++i)
    gradient[i] *= step % 10 == 0 ? 30.0 : std::pow(10.0, -static_cast<double>(i));
  return gradient;
}

TEST(TorchOptimiser, AdamAndAmsgradAreLibTorchs) {
  for (const bool amsgrad : {false, true}) {
    for (const double epsilon : {1e-8, 1e-2}) {
      TrainSpec train;
      train.amsgrad = amsgrad;
      train.beta1 = 0.85;
      train.beta2 = 0.99;
      train.epsilon = epsilon;
      std::vector<double> weights(kWeights, 0.5);
      Adam adam(kWeights);
      torch::Tensor theirs = torch::full({kWeights}, 0.5, torch::kDouble).requires_grad_();
      torch::optim::Adam reference({theirs},
                                   torch::optim::AdamOptions(1e-2).betas({0.85, 0.99}).eps(epsilon).amsgrad(amsgrad));
      for (std::uint64_t step = 0; step < 200; ++step) {
        const std::vector<double> gradient = gradient_of_step(step);
        adam.update(train, weights, gradient, 1e-2, false);
        theirs.mutable_grad() = torch::tensor(gradient, torch::kDouble);
        reference.step();
      }
      for (std::size_t i = 0; i < kWeights; ++i) {
        EXPECT_NEAR(weights[i], theirs[static_cast<std::int64_t>(i)].item<double>(), 1e-12) << amsgrad << epsilon << i;
      }
    }
  }
}

double rate_of(torch::optim::Optimizer& optimiser) { return optimiser.param_groups()[0].options().get_lr(); }

TEST(TorchOptimiser, EquidistantMilestonesAreLibTorchsSteps) {
  TrainSpec train;
  train.learning_rate = 0.3;
  train.milestones.every = 7;
  train.milestones.rate_factor = 0.3;
  torch::optim::Adam optimiser({torch::zeros({1}).requires_grad_()}, torch::optim::AdamOptions(0.3));
  torch::optim::StepLR schedule(optimiser, 7, 0.3);
  schedule.step();  // its first call belongs to step 0
  for (std::int64_t step = 0; step < 40; ++step) {
    EXPECT_NEAR(learning_rate(train, step, milestones_passed(train.milestones, step, {})), rate_of(optimiser), 1e-15);
    schedule.step();
  }
}

TEST(TorchOptimiser, PlateausAreLibTorchs) {
  TrainSpec train;
  train.learning_rate = 0.3;
  train.milestones = {.plateau = 4, .progress = 0.05};
  train.milestones.rate_factor = 0.5;
  torch::optim::Adam optimiser({torch::zeros({1}).requires_grad_()}, torch::optim::AdamOptions(0.3));
  using Scheduler = torch::optim::ReduceLROnPlateauScheduler;
  Scheduler schedule(optimiser, Scheduler::min, 0.5f, 3, 0.05, Scheduler::abs, 0, {}, 0.0);  // waits one longer
  Plateau plateau;
  std::int64_t most = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto loss =
        static_cast<float>(10 / (1 + 0.1 * static_cast<double>(i)) + 0.3 * gradient_of_step(i * 10 + 1)[0]);
    plateau.observe(train.milestones, loss);
    schedule.step(loss);
    EXPECT_NEAR(learning_rate(train, 0, plateau.passed), rate_of(optimiser), 1e-15) << i;
    most = std::max(most, plateau.passed);
  }
  EXPECT_GT(most, 3);
}

}  // namespace
}  // namespace flowloom
