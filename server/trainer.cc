#include "server/trainer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include "flow/catalog.h"
#include "server/learning_rate.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

constexpr std::size_t kEvaluationBlock = 256;  // samples drawn at once; part of the bits

bool single(const RunSpec& run) { return run.numerics.precision == Precision::kMixed; }

TrainerState initial_state(const RunSpec& run, const AffineCouplingFlow& architecture) {
  TrainerState state;
  state.weights = architecture.initial_weights(run.noise_key());
  if (single(run)) {
    for (double& weight : state.weights) weight = static_cast<double>(static_cast<float>(weight));
  }
  state.adam = Adam(state.weights.size());
  return state;
}

// Adds gradients in the order of their numbers, whatever order they come in. Any thread may add.
class OrderedSum {
 public:
  explicit OrderedSum(std::size_t weights) : gradient_(weights) {}

  void add(std::size_t number, Gradient part) {
    const std::lock_guard lock(mutex_);
    early_.emplace(number, std::move(part));
    for (auto at = early_.begin(); at != early_.end() && at->first == next_; at = early_.erase(at), ++next_) {
      for (std::size_t i = 0; i < gradient_.size(); ++i) gradient_[i] += at->second.sum[i];
      for (const double log_w : at->second.log_w) log_w_ += log_w;
    }
  }

  std::vector<double>& gradient() { return gradient_; }
  double log_w() const { return log_w_; }

 private:
  std::mutex mutex_;
  std::map<std::size_t, Gradient> early_;
  std::size_t next_ = 0;
  std::vector<double> gradient_;
  double log_w_ = 0;
};

double ess_of(const std::vector<double>& log_w) {
  const bool none = std::all_of(log_w.begin(), log_w.end(), [](double value) { return !std::isfinite(value); });
  return none ? 0 : stats::ess(log_w);
}

}  // namespace

Trainer::Trainer(const RunSpec& run, const Engine& engine, std::size_t threads, std::optional<TrainerState> state)
    : run_(run),
      engine_(engine),
      theory_(theory_of(run)),
      architecture_(architecture_of(run)),
      objective_(engine.objective(theory_, architecture_, run.numerics.precision)),
      pool_(threads),
      state_(state ? std::move(*state) : initial_state(run, architecture_)) {
  architecture_.refuse_other_count(state_.weights.size());
}

Trainer::Did Trainer::advance(std::stop_token stop) {
  if (evaluation_due()) {
    const auto ess = measure_ess(stop);
    if (!ess) return Did::kNothing;
    state_.ess = *ess;
    state_.ess_average =
        state_.evaluated_step < 0 ? *ess : (1 - kAverageShare) * state_.ess_average + kAverageShare * *ess;
    state_.evaluated_step = state_.step;
    return Did::kEvaluation;
  }
  if (finished()) return Did::kNothing;
  return step(stop) ? Did::kStep : Did::kNothing;
}

bool Trainer::evaluation_due() const {
  if (state_.evaluated_step == state_.step) return false;
  return state_.step >= run_.train.max_steps || (state_.step > 0 && state_.step % run_.train.evaluate_every == 0);
}

bool Trainer::finished() const {
  if (state_.evaluated_step != state_.step) return false;
  return state_.step >= run_.train.max_steps || (run_.train.stop_ess && state_.ess >= *run_.train.stop_ess);
}

bool Trainer::step(std::stop_token stop) {
  const TrainSpec& train = run_.train;
  OrderedSum sum(state_.weights.size());
  const bool all = pool_.for_each(
      train.batch / train.gradient_unit,
      [&](std::size_t unit) {
        const std::uint64_t first = training_index(static_cast<std::uint64_t>(state_.step), unit * train.gradient_unit);
        sum.add(unit, objective_->reverse_kl(Estimator::kReparameterised, state_.weights, run_.noise_key(), first,
                                             train.gradient_unit));
      },
      stop);
  if (!all) return false;

  const double batch = static_cast<double>(train.batch);
  loss_ = -sum.log_w() / batch;
  double square = 0;
  for (double& slope : sum.gradient()) {
    slope /= batch;
    square += slope * slope;
  }
  gradient_norm_ = std::sqrt(square);
  if (std::isfinite(gradient_norm_)) {
    if (gradient_norm_ > train.clip) {
      for (double& slope : sum.gradient()) slope *= train.clip / gradient_norm_;
    }
    state_.adam.update(state_.weights, sum.gradient(), learning_rate(train, state_.step), single(run_));
  } else {
    ++state_.skipped;
  }
  ++state_.step;
  return true;
}

std::optional<double> Trainer::measure_ess(std::stop_token stop) {
  const auto model = engine_.model(theory_, architecture_, state_.weights, run_.numerics.precision);
  const std::size_t samples = run_.train.evaluate_samples;
  std::vector<double> log_w(samples);
  const bool all = pool_.for_each((samples + kEvaluationBlock - 1) / kEvaluationBlock,
                                  [&](std::size_t block) {
                                    const std::size_t begin = block * kEvaluationBlock;
                                    const std::uint64_t first =
                                        training_index(static_cast<std::uint64_t>(state_.step), begin);
                                    const std::size_t count = std::min(kEvaluationBlock, samples - begin);
                                    const Draws draws = model->draw(run_.noise_key(), Purpose::kEval, first, count);
                                    for (std::size_t i = 0; i < count; ++i)
                                      log_w[begin + i] = stats::log_weight(draws.log_p[i], draws.log_q[i]);
                                  },
                                  stop);
  if (!all) return {};
  return ess_of(log_w);
}

Checkpoint Trainer::checkpoint() const {
  Checkpoint checkpoint{run_.theory, run_.flow, run_.numerics.precision, state_.step, state_.weights, {}};
  add_references(checkpoint, engine_);
  return checkpoint;
}

}  // namespace flowloom
