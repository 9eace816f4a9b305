// The trainer as a program: asks the coordinator for its run, trains, publishes, reports, and goes on after a restart.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>

#include "program/peer.h"
#include "server/trainer.h"
#include "spec/run_spec.h"

namespace flowloom {

// The run's own engine, and LibTorch as the reference. Throws `kNotFound` with the remedy if that is missing.
TrainingEngines training_engines(const RunSpec& run);

struct TrainingOptions {
  std::filesystem::path state;  // directory
  std::filesystem::path base;   // what the files that the run file names are relative to
  std::size_t threads = 1;
  bool alone = false;                     // without help of the coordinator's workers
  bool to_end = false;                    // train until [train] stop, even if the chain needs no more
  std::chrono::milliseconds wait{60000};  // for the coordinator to appear, at the start
  std::chrono::milliseconds save_every{10000};
  std::chrono::milliseconds report_every{1000};
  std::function<TrainingEngines(const RunSpec&)> engines = training_engines;
};

// Returns when training has stopped and everything it owes is published, or, with the state written, once
// `stop` is requested or the chain is complete. Training goes on while the coordinator is away. Throws `kHalted` if
// training ends short of an entry of [chain] versions (only logs it with `to_end`).
void train(PeerFinder finder, const TrainingOptions& options, std::stop_token stop);

}  // namespace flowloom
