#include "server/trainer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include "flow/catalog.h"
#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

constexpr std::uint64_t kEvaluationIndex = std::uint64_t{1} << 63;  // of the noise that chooses an evaluation's samples
constexpr double kOutlierMargin = 1;                                // of a log-weight, above the largest gate draw
constexpr std::size_t kEvaluationBlock = 256;  // samples drawn at once; with torch, part of the bits

bool single(const RunSpec& run) { return run.numerics.precision == Precision::kMixed; }

TrainerState initial_state(const RunSpec& run, const AnyFlow& architecture) {
  TrainerState state;
  state.weights = architecture->initial_weights(run.noise_key());
  if (single(run)) round_to_single(state.weights);
  if (run.train.average > 0) state.average = state.weights;
  state.adam = Adam(state.weights.size());
  return state;
}

// Adds gradients in the order of their numbers, whatever order they come in. Any thread may add.
class OrderedSum {
 public:
  OrderedSum(std::size_t weights, std::size_t samples) : gradient_(weights) {
    log_w_.reserve(samples);  // so that nothing can fail half-way
  }

  bool has(std::size_t number) const {
    const std::lock_guard lock(mutex_);
    return number < next_ || early_.contains(number);
  }

  // The part's gradient times `factor`; false if it is there already.
  bool add(std::size_t number, double factor, Gradient part) {
    const std::lock_guard lock(mutex_);
    if (number < next_ || early_.contains(number)) return false;
    early_.emplace(number, std::pair(factor, std::move(part)));
    for (auto at = early_.begin(); at != early_.end() && at->first == next_; at = early_.erase(at), ++next_) {
      const auto& [by, next] = at->second;
      for (std::size_t i = 0; i < gradient_.size(); ++i) gradient_[i] += by * next.sum[i];
      log_w_.insert(log_w_.end(), next.log_w.begin(), next.log_w.end());
    }
    return true;
  }

  std::vector<double>& gradient() { return gradient_; }
  std::span<const double> log_w() const { return log_w_; }  // of all parts, in their order

 private:
  mutable std::mutex mutex_;
  std::map<std::size_t, std::pair<double, Gradient>> early_;
  std::size_t next_ = 0;
  std::vector<double> gradient_;
  std::vector<double> log_w_;
};

// Samples whose weight is no number count as weight zero; 0 if there are no others.
double ess_of(std::span<const double> log_w) {
  std::vector<double> weights(log_w.begin(), log_w.end());
  std::ranges::replace_if(
      weights, [](double value) { return !std::isfinite(value); }, -std::numeric_limits<double>::infinity());
  const bool any = std::ranges::any_of(weights, [](double value) { return std::isfinite(value); });
  return any ? stats::ess(weights) : 0;
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

void round_to_single(std::vector<double>& values) {
  for (double& value : values) value = static_cast<double>(static_cast<float>(value));
}

Trainer::Trainer(const RunSpec& run, TrainingEngines engines, std::size_t threads, std::optional<TrainerState> state,
                 std::vector<double> target, GradientHelp* help)
    : run_(run),
      engines_(std::move(engines)),
      theory_(theory_of(run)),
      architecture_(architecture_of(run)),
      objective_(engines_.own->objective(theory_, architecture_, run.numerics.precision)),
      pool_(threads),
      state_(state ? std::move(*state) : initial_state(run, architecture_)),
      target_(std::move(target)),
      help_(help) {
  architecture_->refuse_other_count(state_.weights.size());
}

Trainer::Did Trainer::advance(std::stop_token stop) {
  if (evaluation_due()) {
    const auto ess = measure_ess(stop);
    const auto ess_from_target = measure_ess_from_target(stop);
    if (!ess || !ess_from_target) return Did::kNothing;
    state_.ess = *ess;
    state_.ess_from_target = *ess_from_target;
    state_.ess_average =
        state_.evaluated_step < 0 ? *ess : (1 - kNewestShare) * state_.ess_average + kNewestShare * *ess;
    state_.evaluated_step = state_.step;
    if (state_.step % run_.train.evaluate_every == 0) {  // not at a stop in between, which may be raised later
      state_.plateau.observe(run_.train.milestones, state_.loss_sum / static_cast<double>(state_.loss_count));
      state_.loss_sum = 0;
      state_.loss_count = 0;
    }
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
  const std::int64_t passed = milestones_passed(train.milestones, state_.step, state_.plateau);
  const std::size_t batch = batch_size(train, passed);
  const std::size_t units = batch / train.gradient_unit;
  const auto step = static_cast<std::uint64_t>(state_.step);
  const double share = train.target_share;

  // Units of the flow's own samples, then units of the target's.
  const std::size_t own_units = share < 1 ? units : 0, target_units = share > 0 ? units : 0;
  const double own_factor = (1 - share) / static_cast<double>(batch),
               target_factor = share / static_cast<double>(batch);
  OrderedSum sum(state_.weights.size(), (own_units + target_units) * train.gradient_unit);
  std::int64_t helped = 0;
  bool all = false;
  {
    const bool shared = help_ && own_units > pool_.threads();  // else all are begun here at once
    const struct Withdraw {  // what the offer refers to ends with this step, however that ends
      GradientHelp* help;
      ~Withdraw() {
        if (help) help->withdraw();
      }
    } withdraw{shared ? help_ : nullptr};
    if (shared) {
      help_->offer({state_.step, state_.weights, own_units, train.gradient_unit, pool_.threads()},
                   [&](std::size_t unit, Gradient gradient) {
                     if (unit < own_units && sum.add(unit, own_factor, std::move(gradient))) ++helped;
                   });
    }
    all = pool_.for_each(
        own_units + target_units,
        [&](std::size_t unit) {
          if (unit < own_units) {
            if (sum.has(unit)) return;
            if (shared) help_->taken(unit + 1);
            const std::uint64_t first = training_index(step, unit * train.gradient_unit);
            sum.add(
                unit, own_factor,
                objective_->reverse_kl(train.gradient, state_.weights, run_.noise_key(), first, train.gradient_unit));
          } else {
            const std::uint64_t first = training_index(step, (unit - own_units) * train.gradient_unit);
            sum.add(unit, target_factor,
                    objective_->forward_kl(state_.weights, target_unit(first, train.gradient_unit)));
          }
        },
        stop);
  }
  if (!all) return false;
  helped_ += helped;

  const auto own_log_w = sum.log_w().first(own_units * train.gradient_unit);
  const auto target_log_w = sum.log_w().subspan(own_log_w.size());
  StepFigures& figures = state_.last_step;
  figures = {};
  figures.loss =
      (own_units > 0 ? -(1 - share) * mean(own_log_w) : 0) + (target_units > 0 ? share * mean(target_log_w) : 0);
  if (own_units > 0) figures.ess = ess_of(own_log_w);
  figures.learning_rate = learning_rate(train, state_.step, passed);
  figures.batch = batch;
  double square = 0;
  for (const double slope : sum.gradient()) square += slope * slope;
  const double norm = figures.gradient_norm = std::sqrt(square);
  if (std::isfinite(norm)) {
    if (norm > train.clip) {
      for (double& slope : sum.gradient()) slope *= train.clip / norm;
    }
    state_.adam.update(train, state_.weights, sum.gradient(), figures.learning_rate, single(run_));
    if (!state_.average.empty()) {
      move_average(state_.average, state_.weights, train.average, state_.step - state_.skipped);
    }
    state_.loss_sum += figures.loss;
    ++state_.loss_count;
  } else {
    ++state_.skipped;
  }
  state_.samples += static_cast<std::int64_t>(batch);
  ++state_.step;
  return true;
}

std::span<const double> Trainer::target_sample(std::size_t number) const {
  const std::size_t volume = theory_variables(theory_);
  return std::span(target_).subspan(number * volume, volume);
}

// The number of a sample of the target, each with equal probability, by the noise at this index.
std::size_t Trainer::chosen_sample(std::uint64_t index) const {
  const std::size_t samples = target_.size() / theory_variables(theory_);
  const double uniform = uniforms(run_.noise_key(), Purpose::kTarget, index, 0)[0];  // in (0, 1]
  return std::min(static_cast<std::size_t>((1 - uniform) * static_cast<double>(samples)), samples - 1);
}

// Samples of the target at training indices first .. first + count - 1.
std::vector<double> Trainer::target_unit(std::uint64_t first, std::size_t count) const {
  std::vector<double> fields;
  for (std::size_t i = 0; i < count; ++i) {
    const auto sample = target_sample(chosen_sample(first + i));
    fields.insert(fields.end(), sample.begin(), sample.end());
  }
  return fields;
}

std::vector<double> Trainer::served_weights() const {
  std::vector<double> weights = state_.average.empty() ? state_.weights : state_.average;
  if (single(run_)) round_to_single(weights);
  return weights;
}

bool Trainer::in_blocks(std::size_t samples, std::stop_token stop,
                        const std::function<void(std::size_t begin, std::size_t count)>& work) {
  return pool_.for_each((samples + kEvaluationBlock - 1) / kEvaluationBlock,
                        [&](std::size_t block) {
                          const std::size_t begin = block * kEvaluationBlock;
                          work(begin, std::min(kEvaluationBlock, samples - begin));
                        },
                        stop);
}

std::optional<double> Trainer::measure_ess(std::stop_token stop) {
  const auto model = engines_.own->model(theory_, architecture_, served_weights(), run_.numerics.precision);
  std::vector<double> log_w(run_.train.evaluate_samples);
  const bool all = in_blocks(log_w.size(), stop, [&](std::size_t begin, std::size_t count) {
    const std::uint64_t first = training_index(static_cast<std::uint64_t>(state_.step), begin);
    const Draws draws = model->draw(run_.noise_key(), Purpose::kEval, first, count, Fields::kDropped);
    for (std::size_t i = 0; i < count; ++i) log_w[begin + i] = stats::log_weight(draws.log_p[i], draws.log_q[i]);
  });
  if (!all) return {};
  return ess_of(log_w);
}

// From all samples of the target, or from `evaluate_samples` of them that noise chooses (files interleave chains: no
// regular choice would be safe). NaN without any.
std::optional<double> Trainer::measure_ess_from_target(std::stop_token stop) {
  const std::size_t samples = target_.size() / theory_variables(theory_);
  if (samples == 0) return std::nan("");
  const auto model = engines_.own->model(theory_, architecture_, served_weights(), run_.numerics.precision);
  std::vector<double> log_w(std::min(run_.train.evaluate_samples, samples));
  const std::uint64_t step_index = training_index(static_cast<std::uint64_t>(state_.step), 0);
  const bool all = in_blocks(log_w.size(), stop, [&](std::size_t begin, std::size_t count) {
    std::vector<double> fields;
    for (std::size_t i = begin; i < begin + count; ++i) {
      const auto sample = target_sample(log_w.size() == samples ? i : chosen_sample(kEvaluationIndex + step_index + i));
      fields.insert(fields.end(), sample.begin(), sample.end());
    }
    const Densities densities = model->densities(fields);
    for (std::size_t i = 0; i < count; ++i) log_w[begin + i] = densities.log_p[i] - densities.log_q[i];
  });
  if (!all) return {};
  const bool finite = std::all_of(log_w.begin(), log_w.end(), [](double value) { return std::isfinite(value); });
  return finite ? stats::ess_from_target(log_w) : 0;
}

std::optional<GateFigures> Trainer::gate_figures(std::stop_token stop) {
  const auto model = engines_.own->model(theory_, architecture_, served_weights(), run_.numerics.precision);
  std::vector<double> log_w(kGateDraws), round_trip(kGateDraws);
  const bool all = in_blocks(log_w.size(), stop, [&](std::size_t begin, std::size_t count) {
    const Draws draws = model->draw(run_.noise_key(), Purpose::kGate, begin, count);
    const Densities densities = model->densities(draws.fields);
    for (std::size_t i = 0; i < count; ++i) {
      log_w[begin + i] = stats::log_weight(draws.log_p[i], draws.log_q[i]);
      round_trip[begin + i] = densities.round_trip[i];
    }
  });
  if (!all) return {};
  GateFigures figures;
  figures.ess = ess_of(log_w);
  add_gate_draws(figures, log_w, round_trip);
  return figures;
}

std::optional<Candidate> Trainer::candidate(std::stop_token stop) {
  const auto gate = gate_figures(stop);
  if (!gate) return {};
  Candidate candidate{.checkpoint{run_.theory, run_.flow, run_.numerics.precision, state_.step, served_weights(), {}},
                      .gate = *gate,
                      .unreproduced = ""};
  Checkpoint& checkpoint = candidate.checkpoint;
  if (std::isfinite(gate->largest_log_w)) checkpoint.threshold = gate->largest_log_w + kOutlierMargin;
  try {
    // The run's own numbers, so that a checkpoint's bytes do not depend on LibTorch's, but only if LibTorch finds them
    // too.
    add_references(checkpoint, *engines_.own);
    verify_references(checkpoint, *engines_.reference, "The flow after " + std::to_string(state_.step) + " steps");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kHalted && error.code() != ErrorCode::kConflict) throw;
    checkpoint.references = {};
    candidate.unreproduced = error.what();
  }
  return candidate;
}

}  // namespace flowloom
