#include "coordinator/step_sharing.h"

#include <algorithm>
#include <string>

#include "spec/error.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Refusal;

Refusal refusal(Refusal::Code code, const std::string& sentence) {
  Refusal refusal;
  refusal.set_code(code);
  refusal.set_sentence(sentence);
  return refusal;
}

}  // namespace

StepSharing::StepSharing(std::size_t weights, const Sha256& training, Time lease, std::size_t bytes)
    : weight_bytes_(weights * sizeof(double)),
      most_(std::clamp<std::size_t>(bytes / weight_bytes_, 1, limits::kQueuedMessages / 2)),
      training_(bytes_of(training)),
      lease_(lease) {}

StepSharing::Messages StepSharing::offer(const flowloom::v1::GradientStep& step) {
  if (step.training() != training_) {
    throw Error(
        ErrorCode::kConflict,
        "The training server has other settings than the coordinator's run file; put [flow] and [train] back, or "
        "train in another directory.");
  }
  if (step.revision() != kGradientRevision) {
    throw Error(
        ErrorCode::kConflict,
        "The training server's gradients are of another revision; use the same version of Flowloom on both sides.");
  }
  if (step.units() == 0 || step.unit_size() == 0 || step.weights().size() != weight_bytes_) {
    throw Error(ErrorCode::kInvalidInput, "A training step has the run's weights, units and samples in each.");
  }
  step_.emplace(Step{step, ++offers_, UnitLedger(0, step.units(), lease_), step.taken(), {}});
  Messages messages;
  for (const auto& [id, worker] : workers_) {
    if (worker.open > 0) messages.emplace_back(id, CoordinatorMessage()).second.mutable_weights()->set_offer(offers_);
  }
  return messages;
}

void StepSharing::taken(const flowloom::v1::Taken& taken) {
  if (step_ && taken.step() == step_->message.step()) step_->taken = std::max(step_->taken, taken.units());
}

void StepSharing::stop() {
  step_.reset();
  answers_.clear();
  undelivered_ = 0;
}

void StepSharing::delivered() {
  if (undelivered_ > 0) --undelivered_;
}

UnitNumber StepSharing::end() const {
  if (!step_ || full()) return 0;
  return step_->message.units() - std::min(step_->taken, step_->message.units());
}

std::vector<CoordinatorMessage> StepSharing::granted(WorkerId worker, UnitNumber number) {
  std::vector<CoordinatorMessage> messages;
  if (step_->informed.insert(worker).second) {
    auto* weights = messages.emplace_back().mutable_weights();
    weights->set_weights(step_->message.weights());
    weights->set_offer(step_->offer);
  }
  auto* grant = messages.emplace_back().mutable_gradient();
  grant->set_step(step_->message.step());
  grant->set_unit(step_->message.units() - 1 - static_cast<std::uint32_t>(number));
  grant->set_unit_size(step_->message.unit_size());
  grant->set_lease_seconds(std::chrono::duration<double>(lease_).count());
  grant->set_offer(step_->offer);
  ++workers_[worker].open;
  ++open_;
  return messages;
}

std::optional<Refusal> StepSharing::answered(WorkerId id, const flowloom::v1::GradientAnswer& answer) {
  Worker& worker = workers_[id];
  if (!step_ || answer.offer() != step_->offer) {  // late: the step is done
    close(worker);
    return {};
  }
  const auto& step = step_->message;
  const std::string name = "gradient unit " + std::to_string(answer.unit()) + " of step " + std::to_string(step.step());
  if (answer.slopes().size() != weight_bytes_ || answer.log_w().size() != step.unit_size() * sizeof(double)) {
    return refusal(Refusal::CODE_WRONG_COUNT,
                   "The answer to " + name + " must hold a slope for each weight and a log_w for each sample.");
  }
  const UnitNumber number = step.units() - 1 - UnitNumber{answer.unit()};
  if (answer.unit() >= step.units() || number >= step_->ledger.next_fresh() || !step_->informed.contains(id)) {
    return refusal(Refusal::CODE_NEVER_LEASED, "The answer to " + name + " is not wanted: it was never leased.");
  }
  close(worker);
  if (step_->ledger.answered(number) != UnitLedger::Verdict::kNew) return {};
  ++worker.computed;
  ++undelivered_;
  answers_.push_back(answer);
  answers_.back().set_step(step.step());
  return {};
}

void StepSharing::failed(WorkerId id, const flowloom::v1::GradientUnit& unit) {
  Worker& worker = workers_[id];
  close(worker);
  ++worker.failures;
  if (step_ && unit.offer() == step_->offer && unit.unit() < step_->message.units()) {
    step_->ledger.failed(id, step_->message.units() - 1 - unit.unit());
  }
}

void StepSharing::left(WorkerId id) {
  if (const auto found = workers_.find(id); found != workers_.end()) {
    open_ -= found->second.open;
    workers_.erase(found);
  }
  if (step_) step_->ledger.left(id);
}

void StepSharing::close(Worker& worker) {
  if (worker.open == 0) return;
  --worker.open;
  --open_;
}

const StepSharing::Worker* StepSharing::find(WorkerId id) const {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

std::size_t StepSharing::open(WorkerId id) const {
  const Worker* worker = find(id);
  return worker ? worker->open : 0;
}

std::uint64_t StepSharing::computed(WorkerId id) const {
  const Worker* worker = find(id);
  return worker ? worker->computed : 0;
}

bool StepSharing::trusts(WorkerId id) const {
  const Worker* worker = find(id);
  return !worker || worker->failures < kMostFailures;
}

}  // namespace flowloom
