#include "worker/executor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string>

#include "flow/catalog.h"
#include "lattice/theories.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::WorkerMessage;

// Runs `work`; returns why it failed, or nothing.
template <class Work>
std::string failure_of(Work work) {
  try {
    work();
    return "";
  } catch (const std::bad_alloc&) {
    return "The worker's memory is not enough; lower [run] unit (of a gradient: [train] gradient_unit) or give it "
           "more.";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

double mismatch(double rebuilt, double logged) {
  if (rebuilt == logged || (std::isnan(rebuilt) && std::isnan(logged))) return 0;
  const double gap = std::abs(rebuilt - logged);
  return std::isnan(gap) ? std::numeric_limits<double>::infinity() : gap;
}

Executor::Executor(const RunSpec& run, std::uint64_t epoch, const Engine& engine, ModelOf model_of)
    : run_(run),
      unit_(run.unit),
      variables_(theory_variables(make_theory(run.theory))),
      noise_key_(run.noise_key()),
      epoch_(epoch),
      engine_(engine),
      model_of_(std::move(model_of)) {}

WorkerMessage Executor::sample(const flowloom::v1::SampleGrant& grant, std::uint64_t unit) const {
  WorkerMessage message;
  const std::string failure = failure_of([&] { *message.mutable_sample() = sample_answer(grant, unit); });
  if (!failure.empty()) {
    message.mutable_failure()->set_unit(unit);
    message.mutable_failure()->set_sentence(failure);
  }
  return message;
}

WorkerMessage Executor::reweigh(const flowloom::v1::ReweighGrant& grant) const {
  WorkerMessage message;
  const std::string failure = failure_of([&] { *message.mutable_reweigh() = reweigh_answer(grant); });
  if (!failure.empty()) {
    message.mutable_failure()->set_reweigh_index(grant.index());
    message.mutable_failure()->set_sentence(failure);
  }
  return message;
}

void Executor::use(const flowloom::v1::StepWeights& weights) {
  offer_ = weights.offer();
  weights_ = unpack(weights.weights());
}

WorkerMessage Executor::gradient(const flowloom::v1::GradientGrant& grant) {
  WorkerMessage message;
  const std::string failure = failure_of([&] { *message.mutable_gradient() = gradient_answer(grant); });
  if (!failure.empty()) {
    message.mutable_failure()->mutable_gradient()->set_offer(grant.offer());
    message.mutable_failure()->mutable_gradient()->set_unit(grant.unit());
    message.mutable_failure()->set_sentence(failure);
  }
  return message;
}

flowloom::v1::GradientAnswer Executor::gradient_answer(const flowloom::v1::GradientGrant& grant) {
  if (offer_ != grant.offer()) throw Error(ErrorCode::kInternal, "A gradient was granted without its step's weights.");
  if (!objective_) {
    objective_ = engine_.objective(theory_of(run_), architecture_of(run_), run_.numerics.precision);
  }
  const std::uint64_t first =
      training_index(static_cast<std::uint64_t>(grant.step()), std::uint64_t{grant.unit()} * grant.unit_size());
  const Gradient gradient = objective_->reverse_kl(run_.train.gradient, weights_, noise_key_, first, grant.unit_size());
  flowloom::v1::GradientAnswer answer;
  answer.set_step(grant.step());
  answer.set_unit(grant.unit());
  answer.set_offer(grant.offer());
  answer.set_slopes(pack(gradient.sum));
  answer.set_log_w(pack(gradient.log_w));
  return answer;
}

flowloom::v1::SampleAnswer Executor::sample_answer(const flowloom::v1::SampleGrant& grant, std::uint64_t unit) const {
  refuse_other_unit(grant.unit_size());
  Draws draws = model_of_(grant.version())->draw(noise_key_, Purpose::kBase, unit * unit_, unit_, Fields::kDropped);
  for (auto* values : {&draws.log_p, &draws.log_q, &draws.sums}) canonicalize(*values);
  flowloom::v1::SampleAnswer answer;
  answer.set_unit(unit);
  answer.set_version(grant.version());
  answer.set_epoch(epoch_);
  answer.set_log_p(pack(draws.log_p));
  answer.set_log_q(pack(draws.log_q));
  answer.set_sums(pack(draws.sums));
  return answer;
}

flowloom::v1::ReweighAnswer Executor::reweigh_answer(const flowloom::v1::ReweighGrant& grant) const {
  refuse_other_unit(grant.unit_size());
  const std::uint64_t first = grant.index() / unit_ * unit_;
  const std::size_t place = grant.index() - first;
  const Draws draws = model_of_(grant.state_version())->draw(noise_key_, Purpose::kBase, first, unit_);
  const Densities densities = model_of_(grant.version())->densities(draws.fields);
  if (densities.log_q.size() != unit_ || draws.fields.size() != unit_ * variables_) {
    throw Error(ErrorCode::kInternal, "The engine gave another number of configurations than it was asked for.");
  }
  flowloom::v1::ReweighAnswer answer;
  answer.set_index(grant.index());
  answer.set_version(grant.version());
  answer.set_log_q(densities.log_q[place]);
  answer.set_round_trip(densities.round_trip[place]);
  answer.set_mismatch(
      std::max(mismatch(draws.log_p[place], grant.log_p()), mismatch(draws.log_q[place], grant.log_q())));
  return answer;
}

void Executor::refuse_other_unit(std::uint32_t unit_size) const {
  if (unit_size == unit_) return;
  throw Error(ErrorCode::kInvalidInput, "The grant's units have " + std::to_string(unit_size) +
                                            " proposals, the run's " + std::to_string(unit_) + ".");
}

}  // namespace flowloom
