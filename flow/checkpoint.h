// A checkpoint: one immutable version of a model, as a safetensors file.
//
// The header's metadata says what it is: format, architecture and theory (as TOML sections), precision,
// training step, the log_p, log_q of a few reference draws, by which a worker proves its numbers before
// it contributes, and the log-weight above which a proposal is an outlier. No time stamps: equal training gives equal
// bytes, and a checkpoint is named by its SHA-256. Loading one runs no code.
//
// Reading needs no engine and trusts nothing: sizes, types, offsets, names and finiteness are checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "flow/engine.h"
#include "spec/run_spec.h"
#include "spec/sha256.h"

namespace flowloom {

// Draws at (reference_key(), purpose reference, 0 .. n-1), evaluated in float64 throughout.
struct References {
  std::vector<double> log_p, log_q;
};
inline constexpr std::size_t kReferenceDraws = 16;
NoiseKey reference_key();

struct Checkpoint {
  Section theory;  // what it was trained on; its references' log_p are this theory's
  Section flow;
  Precision precision = Precision::kMixed;
  std::int64_t training_step = 0;
  std::vector<double> weights;  // the flat array of `architecture()`; float32 values where the precision is mixed
  References references;

  // log_w = log_p - log_q of this theory above which a proposal is an outlier, which a second worker must find too
  // (docs/exactness.md, rule 9); infinity: none, as in a file that does not say it.
  double threshold = std::numeric_limits<double>::infinity();

  AnyFlow architecture() const;

  // The file's bytes; equal checkpoints give equal bytes.
  std::string bytes() const;

  // Throws `kCorrupt` with `name` and what is wrong, or `kInvalidInput` for a version this build cannot read.
  static Checkpoint parse(const std::string& bytes, const std::string& name);
};

// Fills in the references as `engine` computes them. Throws `kHalted` if one of them is not finite.
void add_references(Checkpoint& checkpoint, const Engine& engine);

// Throws `kConflict`, saying by how much, if `engine` does not reproduce the references within tolerance.
void verify_references(const Checkpoint& checkpoint, const Engine& engine, const std::string& name);

// Refuses a checkpoint that cannot serve `run`: another theory kind, another dimension, another precision,
// or no references.
void refuse_unfit(const Checkpoint& checkpoint, const RunSpec& run, const std::string& name);

// The same for every checkpoint that the run file's schedule names as a file, relative to `base`, and that `wanted` (by
// the entry's number) says is needed; throws for one that cannot be read, too.
void refuse_unfit_files(
    const RunSpec& run, const std::filesystem::path& base,
    const std::function<bool(std::uint32_t entry)>& wanted = [](std::uint32_t) { return true; });

// The checkpoint's flow on the run's theory (a lattice of another size, another coupling is allowed).
std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, const AnyTheory& theory, const Engine& engine);

// Parses a checkpoint, refuses one that does not fit `run`, proves this machine's numbers by its references
// and makes the model; calls `verified` between the two. Throws one sentence that begins with `name`.
std::shared_ptr<const Model> load_model(
    const std::string& bytes, const std::string& name, const RunSpec& run, const Engine& engine,
    const std::function<void()>& verified = [] {});

}  // namespace flowloom
