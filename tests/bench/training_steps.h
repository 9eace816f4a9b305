// Whole training steps as a benchmark's contestant.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "server/trainer.h"

namespace flowloom {

// Steps of a run's trainer on `threads` threads, with as many samples as it is called with.
inline std::function<void(std::size_t batch)> training_steps(const RunSpec& wanted, Estimator estimator,
                                                             const std::string& engine, std::size_t threads) {
  auto trainers = std::make_shared<std::map<std::size_t, std::unique_ptr<Trainer>>>();  // one for each batch
  return [=, run = wanted](std::size_t batch) mutable {
    std::unique_ptr<Trainer>& trainer = (*trainers)[batch];
    if (!trainer) {
      run.train.batch = batch;
      run.train.gradient_unit = std::min<std::size_t>(batch / threads, 256);
      run.train.gradient = estimator;
      run.train.learning_rate = 1e-4;
      run.train.max_steps = run.train.evaluate_every = std::int64_t{1} << 40;
      trainer = std::make_unique<Trainer>(run, TrainingEngines(open_engine(engine), open_engine(engine)), threads);
    }
    trainer->advance();
  };
}

}  // namespace flowloom
