// Training by Kullback-Leibler divergence as a pure machine: weights after n steps are a function of the run file, of
// the files that it names (and of the engine's build), of nothing else.
//
// Keeps true:
//   - sample k of step s has the noise address (train, training_index(s, k)), and the one at (target, the same) chooses
//     a sample of the target; s counts skipped steps too;
//   - a step's batch is cut into gradient units of fixed size, whose gradients are added in unit order: no
//     bit depends on the number of threads, nor on who computes them, and hardly any memory on the batch;
//   - an evaluation of the ESS reads noise of its own and changes no weight;
//   - a state that was saved and loaded continues bit for bit.
//
// No clock, file or socket inside. One owner; what others compute (GradientHelp) may arrive on any thread.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "flow/checkpoint.h"
#include "flow/engine.h"
#include "program/thread_pool.h"
#include "server/adam.h"
#include "server/gate.h"
#include "server/gradient_help.h"
#include "server/schedule.h"
#include "spec/run_spec.h"

namespace flowloom {

// What the last step showed.
struct StepFigures {
  // (1 - share) (D_reverse - log Z) + share (D_forward + log Z), as means over this batch: log_q + S over the flow's
  // samples and -S - log_q over as many of the target's
  double loss = std::nan("");
  double ess = std::nan("");            // of its whole batch of model samples
  double gradient_norm = std::nan("");  // of the mean gradient, before clipping
  double learning_rate = 0;
  std::size_t batch = 0;
};

// All that training depends on, besides the run file.
struct TrainerState {
  std::int64_t step = 0;     // steps done
  std::int64_t skipped = 0;  // of these, without an update because the gradient was not finite
  std::int64_t samples = 0;  // drawn for the steps
  std::vector<double> weights;
  std::vector<double> average;  // of the weights; empty unless [train] average
  Adam adam;
  Plateau plateau;
  StepFigures last_step;
  double loss_sum = 0;  // of the steps since the last evaluation
  std::int64_t loss_count = 0;
  std::int64_t evaluated_step = -1;  // where `ess` was found; -1: nowhere yet
  double ess = std::nan("");
  double ess_average = std::nan("");      // exponential, with kNewestShare for the newest
  double ess_from_target = std::nan("");  // from samples of the target, if there are any
};

// Calls visit(name, number) for all that a state holds besides its arrays. What is not here is not saved.
template <class State, class Visitor>
  requires std::same_as<std::remove_const_t<State>, TrainerState>
void visit_numbers(State& state, Visitor visit) {
  visit("step", state.step);
  visit("skipped", state.skipped);
  visit("samples", state.samples);
  visit("beta1_product", state.adam.beta1_product);
  visit("beta2_product", state.adam.beta2_product);
  visit("plateau_lowest", state.plateau.lowest);
  visit("plateau_waited", state.plateau.waited);
  visit("plateau_passed", state.plateau.passed);
  visit("loss", state.last_step.loss);
  visit("batch_ess", state.last_step.ess);
  visit("gradient_norm", state.last_step.gradient_norm);
  visit("learning_rate", state.last_step.learning_rate);
  visit("batch", state.last_step.batch);
  visit("loss_sum", state.loss_sum);
  visit("loss_count", state.loss_count);
  visit("evaluated_step", state.evaluated_step);
  visit("ess", state.ess);
  visit("ess_average", state.ess_average);
  visit("ess_from_target", state.ess_from_target);
}

// Its arrays by name; the last two may be empty.
template <class State>
auto arrays_of(State& state) {
  return std::array{std::pair("weights", &state.weights), std::pair("first_moment", &state.adam.first),
                    std::pair("second_moment", &state.adam.second),
                    std::pair("largest_second_moment", &state.adam.largest), std::pair("average", &state.average)};
}

// To the float32 values that the weights of a run in mixed precision are.
void round_to_single(std::vector<double>& values);

// What evaluates flows in training; one engine may be both.
struct TrainingEngines {
  TrainingEngines(std::shared_ptr<const Engine> run_engine, std::shared_ptr<const Engine> reference_engine)
      : own(std::move(run_engine)), reference(std::move(reference_engine)) {}

  // `both` must outlive this.
  TrainingEngines(const Engine& both) : own(std::shared_ptr<const Engine>(), &both), reference(own) {}

  std::shared_ptr<const Engine> own;        // the run's: gradients, and the ESS, which is that of the chain's proposals
  std::shared_ptr<const Engine> reference;  // must find the same log_p and log_q of a version's reference draws
};

class Trainer {
 public:
  static constexpr double kNewestShare = 0.1;

  // Starts from the architecture's initial weights, or goes on from `state`. `target`: samples of the target,
  // [sample][site]; may be empty.
  Trainer(const RunSpec& run, TrainingEngines engines, std::size_t threads, std::optional<TrainerState> state = {},
          std::vector<double> target = {}, GradientHelp* help = nullptr);

  enum class Did { kStep, kEvaluation, kNothing };

  // Does what comes next: an evaluation if one is due at this step, else a step. `kNothing` if training is
  // finished, or if `stop` was requested on the way; the state is then as before.
  Did advance(std::stop_token stop = {});

  // Stopped: the steps are done or the ESS is reached, and the state is evaluated.
  bool finished() const;

  // The ESS of the weights that a checkpoint would have, from the noise that belongs to this step; nothing if `stop`
  // was requested. An invalid draw (docs/exactness.md, rule 2) counts as weight zero; 0 if all weights are zero.
  std::optional<double> measure_ess(std::stop_token stop = {});

  // The state as a version: its references (unless training has diverged, or the reference engine finds other numbers),
  // what the gate's draws show, and its threshold, the largest log_w of these draws + 1. Nothing if `stop` was
  // requested.
  std::optional<Candidate> candidate(std::stop_token stop = {});

  const TrainerState& state() const { return state_; }

  // Units that others have computed since this trainer was made.
  std::int64_t helped_units() const { return helped_; }

 private:
  bool evaluation_due() const;
  bool step(std::stop_token stop);
  std::optional<double> measure_ess_from_target(std::stop_token stop);
  std::optional<GateFigures> gate_figures(std::stop_token stop);
  std::vector<double> served_weights() const;  // those of a checkpoint
  std::span<const double> target_sample(std::size_t number) const;
  std::size_t chosen_sample(std::uint64_t index) const;
  std::vector<double> target_unit(std::uint64_t first, std::size_t count) const;

  // Calls work(begin, count) for the blocks of an evaluation of `samples`; false if `stop` was requested.
  bool in_blocks(std::size_t samples, std::stop_token stop,
                 const std::function<void(std::size_t begin, std::size_t count)>& work);

  RunSpec run_;
  TrainingEngines engines_;
  AnyTheory theory_;
  AnyFlow architecture_;
  std::unique_ptr<Objective> objective_;
  ThreadPool pool_;
  TrainerState state_;
  std::vector<double> target_;
  GradientHelp* help_;
  std::int64_t helped_ = 0;
};

}  // namespace flowloom
