// Grants in, answers out: what a worker computes.
//
// Keeps true:
//   - an answer is a function of the grant, the run and the weights (the version's, or those of the training step),
//     whoever computes it;
//   - a unit is always computed whole, for a reweigh too, so that its bits repeat;
//   - whatever goes wrong becomes a Failure with a sentence; nothing is skipped or drawn again.
//
// No stream, clock or thread inside. One owner, no locks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "flow/engine.h"
#include "flowloom/v1/coordinator.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

class Executor {
 public:
  // The model of a version; throws what the Failure is to say.
  using ModelOf = std::function<std::shared_ptr<const Model>(std::uint32_t version)>;

  // `epoch`: the coordinator's, echoed in answers. `engine` must outlive this.
  Executor(const RunSpec& run, std::uint64_t epoch, const Engine& engine, ModelOf model_of);

  // One unit of a grant: SampleAnswer or Failure.
  flowloom::v1::WorkerMessage sample(const flowloom::v1::SampleGrant& grant, std::uint64_t unit) const;

  // ReweighAnswer or Failure. Whether mismatch and round trip are small enough is the coordinator's to judge.
  flowloom::v1::WorkerMessage reweigh(const flowloom::v1::ReweighGrant& grant) const;

  // The weights of a training step; GradientAnswer or Failure.
  void use(const flowloom::v1::StepWeights& weights);
  flowloom::v1::WorkerMessage gradient(const flowloom::v1::GradientGrant& grant);

 private:
  flowloom::v1::SampleAnswer sample_answer(const flowloom::v1::SampleGrant& grant, std::uint64_t unit) const;
  flowloom::v1::ReweighAnswer reweigh_answer(const flowloom::v1::ReweighGrant& grant) const;
  flowloom::v1::GradientAnswer gradient_answer(const flowloom::v1::GradientGrant& grant);

  // Throws `kInvalidInput` unless `unit_size` is the run's.
  void refuse_other_unit(std::uint32_t unit_size) const;

  const RunSpec run_;
  std::size_t unit_, variables_;
  NoiseKey noise_key_;
  std::uint64_t epoch_;
  const Engine& engine_;
  ModelOf model_of_;
  std::unique_ptr<Objective> objective_;  // made when it is first needed
  std::optional<std::uint64_t> offer_;    // whose weights these are
  std::vector<double> weights_;
};

// How far a rebuilt number is from the logged one: 0 where both are the same infinity or both are NaN,
// infinity where only one of them is a number.
double mismatch(double rebuilt, double logged);

}  // namespace flowloom
