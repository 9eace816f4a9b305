// What a training begins with, besides random weights: the files that [train] names.
#pragma once

#include <filesystem>
#include <vector>

#include "server/trainer.h"
#include "spec/run_spec.h"

namespace flowloom {

// The state of a new training whose weights are those of [train] start: a checkpoint's, or those of the training in a
// run (or state) directory, whose optimiser goes on if the run file says so. Paths are relative to `base`. The
// architecture must be the same; lattice, couplings, precision and all of [train] may differ. A checkpoint has the
// averaged weights if its training kept an average; of a directory the weights as they were trained go on, and the
// average too if this run keeps one. Throws `kInvalidInput` for what does not fit, `kNotFound` and `kCorrupt` for a
// file.
TrainerState starting_state(const RunSpec& run, const std::filesystem::path& base);

// The samples of the target in a safetensors file: its tensor "fields", [sample][extents ...], as [sample][site].
// Throws `kInvalidInput` for another shape or a number that is not finite, `kNotFound` and `kCorrupt` for the file.
std::vector<double> read_target_samples(const std::filesystem::path& file, const RunSpec& run);

// Throws what either would say about the files that [train] names.
void refuse_unfit_training_files(const RunSpec& run, const std::filesystem::path& base);

}  // namespace flowloom
