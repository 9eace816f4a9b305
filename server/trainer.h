// Training by reverse Kullback-Leibler divergence as a pure machine: weights after n steps are a function of
// the run file (and of the engine's build), of nothing else.
//
// Keeps true:
//   - sample k of step s has the noise address (train, training_index(s, k)); s counts skipped steps too;
//   - a step's batch is cut into gradient units of fixed size, whose gradients are added in unit order: no
//     bit depends on the number of threads;
//   - an evaluation of the ESS reads noise of its own and changes no weight;
//   - a state that was saved and loaded continues bit for bit.
//
// No clock, file or socket inside. One owner, no locks.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "flow/checkpoint.h"
#include "flow/engine.h"
#include "server/adam.h"
#include "server/thread_pool.h"
#include "spec/run_spec.h"

namespace flowloom {

// All that training depends on, besides the run file.
struct TrainerState {
  std::int64_t step = 0;     // steps done
  std::int64_t skipped = 0;  // of these, without an update because the gradient was not finite
  std::vector<double> weights;
  Adam adam;
  std::int64_t evaluated_step = -1;  // where `ess` was found; -1: nowhere yet
  double ess = std::nan("");
  double ess_average = std::nan("");  // exponential, with kAverageShare for the newest
};

class Trainer {
 public:
  static constexpr double kAverageShare = 0.1;

  // Starts from the architecture's initial weights, or goes on from `state`. `engine` must be able to train
  // (throws `kInvalidInput`) and outlive this.
  Trainer(const RunSpec& run, const Engine& engine, std::size_t threads, std::optional<TrainerState> state = {});

  enum class Did { kStep, kEvaluation, kNothing };

  // Does what comes next: an evaluation if one is due at this step, else a step. `kNothing` if training is
  // finished, or if `stop` was requested on the way; the state is then as before.
  Did advance(std::stop_token stop = {});

  // Stopped: the steps are done or the ESS is reached, and the state is evaluated.
  bool finished() const;

  // The ESS of the state as it is, from the noise that belongs to this step; nothing if `stop` was requested.
  // An invalid draw (docs/exactness.md, rule 2) counts as weight zero; 0 if all weights are zero.
  std::optional<double> measure_ess(std::stop_token stop = {});

  // The state as a version, with the references of this engine. Throws `kHalted` if training has diverged.
  Checkpoint checkpoint() const;

  const TrainerState& state() const { return state_; }
  double loss() const { return loss_; }                    // mean(log_q + S) of the last step's batch
  double gradient_norm() const { return gradient_norm_; }  // of its mean gradient, before clipping

 private:
  bool evaluation_due() const;
  bool step(std::stop_token stop);

  RunSpec run_;
  const Engine& engine_;
  AnyTheory theory_;
  AffineCouplingFlow architecture_;
  std::unique_ptr<Objective> objective_;
  ThreadPool pool_;
  TrainerState state_;
  double loss_ = std::nan(""), gradient_norm_ = std::nan("");
};

}  // namespace flowloom
