// The training step whose gradients workers compute: which units are granted, who has the weights, what is under way.
//
// Keeps true:
//   - units are granted from the last on, while the trainer begins with the first; an answer counts once, and only for
//     its step;
//   - what workers have open counts over steps: one that is slower than the steps gets no more than its credits;
//   - a worker that failed kMostFailures times gets no more;
//   - what is open, and what waits to be sent to the trainer, has a bound in number and in bytes;
//   - nobody takes part whose gradients might differ: the trainer's settings are the run file's, its revision is this
//     build's.
//
// Pure: no clock, file, socket or thread; time comes in with each call. One owner, no locks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/unit_ledger.h"
#include "flowloom/v1/coordinator.pb.h"
#include "flowloom/v1/training.pb.h"
#include "program/limits.h"
#include "spec/sha256.h"

namespace flowloom {

class StepSharing {
 public:
  static constexpr int kMostFailures = 3;

  // `weights`: how many the run's flow has; `training`: of the run's settings; `bytes` of slopes may be under way.
  StepSharing(std::size_t weights, const Sha256& training, Time lease, std::size_t bytes = limits::kSharedBytes);

  using Messages = std::vector<std::pair<WorkerId, flowloom::v1::CoordinatorMessage>>;

  // The trainer. A step replaces the one before; returns what tells workers that this is done. Throws `kConflict` for a
  // step of other settings or another build, `kInvalidInput` for one that makes no sense.
  Messages offer(const flowloom::v1::GradientStep& step);
  void taken(const flowloom::v1::Taken& taken);
  void stop();
  std::vector<flowloom::v1::GradientAnswer> take_answers() { return std::exchange(answers_, {}); }
  // One of those taken is on its way.
  void delivered();

  // Grants. The ledger's unit n is the step's unit units - 1 - n; null without a step.
  UnitLedger* ledger() { return step_ ? &step_->ledger : nullptr; }
  UnitNumber end() const;  // of what may be granted now
  // The messages that grant unit `number` of the ledger to a worker.
  std::vector<flowloom::v1::CoordinatorMessage> granted(WorkerId worker, UnitNumber number);

  // Workers. `answered` returns why an answer is refused.
  std::optional<flowloom::v1::Refusal> answered(WorkerId worker, const flowloom::v1::GradientAnswer& answer);
  void failed(WorkerId worker, const flowloom::v1::GradientUnit& unit);
  void left(WorkerId worker);

  std::size_t open(WorkerId worker) const;        // granted and not answered, of whatever step
  std::uint64_t computed(WorkerId worker) const;  // units that were taken from it
  bool trusts(WorkerId worker) const;             // has not failed too often

 private:
  struct Step {
    flowloom::v1::GradientStep message;
    std::uint64_t offer;
    UnitLedger ledger;
    std::uint32_t taken;          // units that the trainer has begun itself
    std::set<WorkerId> informed;  // have its weights
  };
  struct Worker {
    std::size_t open = 0;
    std::uint64_t computed = 0;
    int failures = 0;
  };
  const Worker* find(WorkerId worker) const;
  void close(Worker& worker);
  bool full() const { return open_ + undelivered_ >= most_; }

  std::size_t weight_bytes_, most_;
  std::string training_;
  Time lease_;
  std::optional<Step> step_;
  std::uint64_t offers_ = 0;  // steps so far
  std::map<WorkerId, Worker> workers_;
  std::size_t open_ = 0;         // of all workers
  std::size_t undelivered_ = 0;  // answers that are not on their way to the trainer
  std::vector<flowloom::v1::GradientAnswer> answers_;
};

}  // namespace flowloom
