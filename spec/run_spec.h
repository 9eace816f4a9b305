// A run file, checked and typed: the one input that a chain is a function of.
//
// Identity (theory, noise, unit size, numerics) is fixed for good and hashed; everything else is policy and
// may change between starts. The flow's architecture belongs to a version, not to the run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "spec/document.h"
#include "spec/noise.h"
#include "spec/numerics.h"
#include "spec/schema.h"
#include "spec/sha256.h"

namespace flowloom {

struct RunSpec;

// One thing a run file can name: a theory, a flow, an engine. Declared by the part it belongs to.
struct Kind {
  std::string name;
  std::string sentence;
  std::vector<Key> keys;
  std::function<void(const RunSpec&)> check = {};  // what no single key can tell; may be empty
};

// Everything a run file can name in this build. Needs no engine.
struct Catalog {
  std::vector<Kind> theories;
  std::vector<Kind> flows;
  std::vector<Kind> engines;  // without keys; the first is the usual one, the last has every part of every flow
  // What of a run's flow only the last engine has, or nothing; may be empty.
  std::function<std::string(const RunSpec&)> only_last = {};
};

// When training has produced what a scheduled version asks for. Exactly one member is set.
struct Condition {
  std::optional<double> ess;         // the trainer's own ESS reached this, at one of its evaluations
  std::optional<std::int64_t> step;  // this many steps are done
  std::string file;                  // a checkpoint that exists already
  bool trained = false;              // training stopped

  std::string sentence() const;
  bool operator==(const Condition&) const = default;
};

// Proposals from unit `from` on (the first unit boundary at or after the run file's index) use this version.
struct ScheduledVersion {
  std::uint64_t from = 0;  // a proposal index, on a unit boundary
  Condition when;
};

// How the gradient of the reverse divergence is estimated; all have the same mean.
//
//   reparameterised  d(log_q + S)/dw with the noise held fixed (arXiv:1904.12072)
//   path             the same without the part that acts on log_q at a fixed field, whose mean is zero: no noise is
//                    left where q = p (arXiv:2207.08219), in one pass (arXiv:2403.15881)
//   path-two-pass    the same numbers by the inverse flow, slower: the reference of the former
enum class Estimator { kReparameterised, kPath, kPathTwoPass };

enum class LearningRateDecay { kNone, kCosine };

// Steps at which the learning rate falls and the batch grows. At most one of the first three is set; without any there
// are none.
struct Milestones {
  std::vector<std::int64_t> at = {};
  std::int64_t every = 0;
  std::int64_t plateau = 0;  // evaluations in a row without a loss lower by `progress`
  double progress = 0;
  double rate_factor = 1;        // of the learning rate at each
  std::size_t batch_factor = 1;  // of the batch
};

struct TrainSpec {
  std::size_t batch = 0;          // samples per step
  std::size_t gradient_unit = 0;  // samples whose gradient is computed at once; part of the bits
  double learning_rate = 0;
  std::int64_t warmup = 0;  // steps over which the rate rises linearly
  LearningRateDecay decay = LearningRateDecay::kNone;
  Milestones milestones;
  Estimator gradient = Estimator::kReparameterised;
  bool amsgrad = false;
  double beta1 = 0, beta2 = 0, epsilon = 0;  // Adam's
  double average = 0;                        // share of the old in the weights' moving average; 0: none is kept
  std::string target_samples;                // a file; may be empty
  double target_share = 0;                   // of the forward divergence in the loss
  std::string start;                         // a file or run directory whose weights training starts from; may be empty
  bool start_keeps_optimiser = false;
  double clip = 0;                  // global L2 norm of the gradient
  std::int64_t evaluate_every = 0;  // steps
  std::size_t evaluate_samples = 0;
  std::int64_t record_every = 0;  // steps
  std::int64_t max_steps = 0;
  std::optional<double> stop_ess;
  double publish_gain = 0;  // asap: relative gain in ESS worth a version
  double gate_margin = 0;   // relative loss in ESS that a new version may have
};

// A stop that looks at the chain (rule 6): the relative error of an observable.
struct Until {
  std::string observable;
  double relative_error = 0;
};

struct ChainSpec {
  std::uint64_t length = 0;  // proposals, as the run file says it
  bool asap = false;         // versions serve at arrival instead of from scheduled indices
  std::vector<ScheduledVersion> versions;
  std::optional<Until> until;
  std::size_t window = 0;  // units that may be granted ahead of the frontier
  double lease_seconds = 0;
  double audit = 0;        // share of units that are drawn twice
  std::string observable;  // whose error the status shows; empty: the theory's first
};

struct RunSpec {
  std::string name;
  std::size_t unit = 0;  // proposals per unit
  Numerics numerics;
  std::string engine_reason;  // why "auto" became another engine than the usual one, or nothing
  std::string noise;          // the text that the noise key is hashed from: theory and seed, or a shared name
  Section theory;             // has "kind"
  Section flow;               // has "kind"
  TrainSpec train;
  ChainSpec chain;
  nlohmann::json policy;  // every key outside the identity, defaults filled in
  std::string toml;       // the run file as accepted, overrides in place

  std::uint64_t length_in_units() const { return (chain.length + unit - 1) / unit; }

  NoiseKey noise_key() const;

  // Theory, noise, unit size, numerics: sorted keys, defaults filled in. Two runs with equal text are one run.
  std::string identity_text() const;
  Sha256 identity() const { return sha256(identity_text()); }
};

// What a training's weights after n steps depend on: theory, noise, flow, precision and [train], without what only says
// when to stop. Sorted keys, defaults filled in.
nlohmann::json training_settings(const RunSpec& run);
Sha256 training_identity(const RunSpec& run);

// Reads a run file completely or throws one sentence. No file but `document` is looked at.
RunSpec load_run(const Document& document, const Catalog& catalog);

// The checked section of a part of which there are several kinds: its `kind` chooses the keys.
Section kind_section(const Document& document, const std::string& name, const std::vector<Kind>& kinds);

// The kind of this name; it must exist.
const Kind& find_kind(const std::vector<Kind>& kinds, const std::string& name);

// "theory.lambda is 8.0 in the directory and 7.0 in the run file", for each key in which two identities differ.
std::string identity_difference(const RunSpec& directory, const RunSpec& file);

// "chain.length: 1000 -> 2000", for each key of policy in which two run files differ.
std::vector<std::string> policy_changes(const RunSpec& before, const RunSpec& after);

// The keys of the sections that do not depend on a kind, for the reference in docs/ and `flowloom check
// --keys`.
std::vector<Key> run_keys(const Catalog& catalog);
const std::vector<Key>& train_keys();
const std::vector<Key>& chain_keys();

}  // namespace flowloom
