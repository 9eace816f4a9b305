#include "spec/run_spec.h"

#include <algorithm>
#include <functional>

#include "spec/differences.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using nlohmann::json;

Key kind_key(const std::vector<Kind>& kinds, const std::string& sentence) {
  Key key{.name = "kind", .type = KeyType::kText, .sentence = sentence, .required = true};
  for (const Kind& kind : kinds) key.choices.push_back(kind.name);
  return key;
}

Condition condition_of(const Section& when, const std::string& where) {
  Condition condition;
  if (when.has("ess")) condition.ess = when.real("ess");
  if (when.has("step")) condition.step = when.integer("step");
  if (when.has("file")) condition.file = when.text("file");
  condition.trained = when.has("trained") && when.flag("trained");
  const int given =
      condition.ess.has_value() + condition.step.has_value() + !condition.file.empty() + condition.trained;
  if (given != 1) {
    throw Error(ErrorCode::kInvalidInput,
                where + ": 'when' takes exactly one of: \"trained\", { ess = x }, { step = n }, { file = \"path\" }.");
  }
  return condition;
}

// The name of a file. Not an empty one: somebody's empty shell variable.
std::string file_of(const Section& section, const std::string& key) {
  std::string name = section.text(key);
  if (name.empty()) throw Error(ErrorCode::kInvalidInput, section.where(key) + " is empty: name a file or directory.");
  return name;
}

Milestones milestones_of(const Section& section) {
  Milestones milestones;
  if (section.has("at")) milestones.at = section.integers("at");
  if (section.has("every")) milestones.every = section.integer("every");
  if (section.has("plateau")) milestones.plateau = section.integer("plateau");
  if (section.has("progress")) milestones.progress = section.real("progress");
  milestones.rate_factor = section.real("rate_factor");
  milestones.batch_factor = section.size("batch_factor");
  if (!milestones.at.empty() + (milestones.every > 0) + (milestones.plateau > 0) != 1) {
    throw Error(ErrorCode::kInvalidInput, section.where("") +
                                              " takes exactly one of: { at = [n, ...] }, { every = n }, "
                                              "{ plateau = n }.");
  }
  if (milestones.rate_factor == 1 && milestones.batch_factor == 1) {
    throw Error(ErrorCode::kInvalidInput,
                section.where("rate_factor") + ": milestones change nothing without a rate_factor or a batch_factor.");
  }
  if (section.has("progress") && milestones.plateau == 0) {
    throw Error(ErrorCode::kInvalidInput, section.where("progress") + ": 'progress' belongs to 'plateau'.");
  }
  if (!std::is_sorted(milestones.at.begin(), milestones.at.end(), std::less_equal<>())) {
    throw Error(ErrorCode::kInvalidInput, section.where("at") + ": the steps must increase.");
  }
  return milestones;
}

TrainSpec train_of(const Section& section) {
  TrainSpec train;
  train.batch = section.size("batch");
  train.gradient_unit = std::min(section.size("gradient_unit"), train.batch);
  const std::string gradient = section.text("gradient");
  train.gradient = gradient == "path"            ? Estimator::kPath
                   : gradient == "path-two-pass" ? Estimator::kPathTwoPass
                                                 : Estimator::kReparameterised;
  train.amsgrad = section.text("optimiser") == "amsgrad";
  train.beta1 = section.real("beta1");
  train.beta2 = section.real("beta2");
  train.epsilon = section.real("epsilon");
  train.average = section.real("average");
  train.learning_rate = section.real("learning_rate");
  train.warmup = section.integer("warmup");
  train.decay = section.text("decay") == "cosine" ? LearningRateDecay::kCosine : LearningRateDecay::kNone;
  if (section.has("milestones")) train.milestones = milestones_of(section.table("milestones"));
  train.clip = section.real("clip");
  if (section.has("target")) {
    const Section target = section.table("target");
    train.target_samples = file_of(target, "samples");
    train.target_share = target.real("share");
  }
  if (section.has("start")) {
    const Section start = section.table("start");
    train.start = file_of(start, "from");
    train.start_keeps_optimiser = start.text("optimiser") == "keep";
  }
  train.evaluate_every = section.integer("evaluate_every");
  train.evaluate_samples = section.size("evaluate_samples");
  train.record_every = section.integer("record_every");
  train.publish_gain = section.real("publish_gain");
  train.gate_margin = section.real("gate_margin");
  const Section stop = section.table("stop");
  train.max_steps = stop.integer("steps");
  if (stop.has("ess")) train.stop_ess = stop.real("ess");
  if (train.batch % train.gradient_unit != 0) {
    throw Error(ErrorCode::kInvalidInput,
                section.where("batch") + " = " + std::to_string(train.batch) +
                    " must be a multiple of gradient_unit = " + std::to_string(train.gradient_unit) + ".");
  }
  return train;
}

ChainSpec chain_of(const Section& section, std::size_t unit) {
  ChainSpec chain;
  chain.length = static_cast<std::uint64_t>(section.integer("length"));
  chain.asap = section.text("placement") == "asap";
  chain.window = section.size("window");
  chain.lease_seconds = section.real("lease");
  chain.audit = section.real("audit");
  chain.observable = section.text("observable");
  if (section.has("until")) {
    const Section until = section.table("until");
    chain.until = Until{until.text("observable"), until.real("relative_error")};
  }
  if (chain.asap) {
    if (section.has("versions")) {
      throw Error(ErrorCode::kInvalidInput, section.where("versions") +
                                                ": placement = \"asap\" serves versions as they arrive; remove "
                                                "'versions' or set placement = \"scheduled\".");
    }
    return chain;
  }
  if (!section.has("versions")) {
    chain.versions.push_back({.from = 0, .when = {.ess = {}, .step = {}, .file = {}, .trained = true}});
    return chain;
  }
  for (const Section& entry : section.tables("versions")) {
    const auto index = static_cast<std::uint64_t>(entry.integer("from"));
    const std::uint64_t from = (index + unit - 1) / unit * unit;
    if (chain.versions.empty() ? from != 0 : from <= chain.versions.back().from) {
      throw Error(ErrorCode::kInvalidInput,
                  entry.where("from") + " = " + std::to_string(index) +
                      (chain.versions.empty() ? " must be 0: the first version serves from the first proposal."
                                              : " must lie at least one unit (" + std::to_string(unit) +
                                                    " proposals) above the version before it."));
    }
    chain.versions.push_back({from, condition_of(entry.table("when"), entry.where("when"))});
  }
  return chain;
}

json identity_json(const RunSpec& run) {
  return {{"theory", run.theory.values()},
          {"noise", run.noise},
          {"unit", run.unit},
          {"numerics",
           {{"engine", run.numerics.engine},
            {"precision", to_string(run.numerics.precision)},
            {"revision", run.numerics.revision}}}};
}

}  // namespace

std::string Condition::sentence() const {
  if (ess) return "ESS >= " + json(*ess).dump();
  if (step) return "step " + std::to_string(*step);
  if (!file.empty()) return "file " + file;
  return "trained";
}

NoiseKey RunSpec::noise_key() const { return NoiseKey::from(noise); }

std::string RunSpec::identity_text() const { return identity_json(*this).dump(); }

std::vector<Key> run_keys(const Catalog& catalog) {
  Key engine{.name = "engine",
             .type = KeyType::kText,
             .sentence = "What evaluates the flow; auto: lanes, or torch for a flow of which the lanes lack a part.",
             .default_value = "auto",
             .choices = {"auto"}};
  for (const Kind& kind : catalog.engines) engine.choices.push_back(kind.name);
  return {
      {.name = "name",
       .type = KeyType::kText,
       .sentence = "A name for people; also names the run directory.",
       .required = true},
      {.name = "seed",
       .type = KeyType::kInteger,
       .sentence = "Chooses the noise, together with the theory: two couplings never share any.",
       .default_value = 0,
       .min = 0,
       .max = 9007199254740991.0},
      {.name = "noise",
       .type = KeyType::kText,
       .sentence = "A name that runs share on purpose to draw from the same noise (correlated ensembles); "
                   "replaces the seed.",
       .default_value = ""},
      {.name = "unit",
       .type = KeyType::kInteger,
       .sentence = "Proposals per unit: what a worker draws at once and what is committed at once.",
       .default_value = 1024,
       .min = 1,
       .max = 65536},
      engine,
      {.name = "precision",
       .type = KeyType::kText,
       .sentence = "mixed: networks in float32, everything else in float64. float64: everything.",
       .default_value = "mixed",
       .choices = {"mixed", "float64"}},
  };
}

const std::vector<Key>& train_keys() {
  static const std::vector<Key> keys = {
      {.name = "batch",
       .type = KeyType::kInteger,
       .sentence = "Samples per step.",
       .default_value = 1024,
       .min = 2,
       .max = 1 << 24},
      {.name = "gradient_unit",
       .type = KeyType::kInteger,
       .sentence = "Samples whose gradient is computed at once, on one thread; gradients are added in order, "
                   "so that weights do not depend on the number of threads.",
       .default_value = 128,
       .min = 1,
       .max = 65536},
      {.name = "gradient",
       .type = KeyType::kText,
       .sentence =
           "Of the reverse divergence. reparameterised: with the noise held fixed. path: the same without the part "
           "that is only noise where the flow is the target (arXiv:2403.15881). path-two-pass: the same numbers by "
           "the inverse flow, slower.",
       .default_value = "reparameterised",
       .choices = {"reparameterised", "path", "path-two-pass"}},
      {.name = "optimiser",
       .type = KeyType::kText,
       .sentence = "adam: arXiv:1412.6980. amsgrad: its second moment never falls (arXiv:1904.09237).",
       .default_value = "adam",
       .choices = {"adam", "amsgrad"}},
      {.name = "beta1",
       .type = KeyType::kReal,
       .sentence = "Adam's share of the old in the first moment.",
       .default_value = 0.9,
       .min = 0,
       .max = 0.99999},
      {.name = "beta2",
       .type = KeyType::kReal,
       .sentence = "Adam's share of the old in the second moment.",
       .default_value = 0.999,
       .min = 0,
       .max = 0.9999999},
      {.name = "epsilon",
       .type = KeyType::kReal,
       .sentence = "Added to the square root of Adam's second moment.",
       .default_value = 1e-8,
       .min = 0,
       .max = 1,
       .above_min = true},
      {.name = "average",
       .type = KeyType::kReal,
       .sentence = "Share of the old in a moving average of the weights, which is then what is evaluated and published "
                   "(the share is smaller in the first steps: (1 + n) / (10 + n) after n); 0: none.",
       .default_value = 0.0,
       .min = 0,
       .max = 0.999999},
      {.name = "learning_rate",
       .type = KeyType::kReal,
       .sentence = "Adam's learning rate.",
       .default_value = 1e-3,
       .min = 0,
       .max = 1,
       .above_min = true},
      {.name = "warmup",
       .type = KeyType::kInteger,
       .sentence = "Steps over which the learning rate rises linearly to its value.",
       .default_value = 0,
       .min = 0,
       .max = 1e9},
      {.name = "decay",
       .type = KeyType::kText,
       .sentence = "none: the learning rate stays. cosine: it falls to zero along half a cosine until stop.steps.",
       .default_value = "none",
       .choices = {"none", "cosine"}},
      {.name = "milestones",
       .type = KeyType::kTable,
       .sentence = "When the learning rate falls and the batch grows; none if absent.",
       .keys = {{.name = "at",
                 .type = KeyType::kIntegers,
                 .sentence = "At these steps.",
                 .min = 1,
                 .max = 1e9,
                 .min_size = 1,
                 .max_size = 1000},
                {.name = "every",
                 .type = KeyType::kInteger,
                 .sentence = "At each multiple of this many steps.",
                 .min = 1,
                 .max = 1e9},
                {.name = "plateau",
                 .type = KeyType::kInteger,
                 .sentence =
                     "When the loss, averaged from evaluation to evaluation, has made no progress this many times "
                     "in a row.",
                 .min = 1,
                 .max = 1e9},
                {.name = "progress",
                 .type = KeyType::kReal,
                 .sentence = "plateau: a loss lower than the lowest by more than this is progress (default 0).",
                 .min = 0},
                {.name = "rate_factor",
                 .type = KeyType::kReal,
                 .sentence = "The learning rate is multiplied by this.",
                 .default_value = 1.0,
                 .min = 0,
                 .max = 1,
                 .above_min = true},
                {.name = "batch_factor",
                 .type = KeyType::kInteger,
                 .sentence = "The batch is multiplied by this, up to 2^24 samples.",
                 .default_value = 1,
                 .min = 1,
                 .max = 1024}}},
      {.name = "target",
       .type = KeyType::kTable,
       .sentence =
           "Samples of the target, for the ESS that sees a missed mode (arXiv:2211.07541, eq. 16), and to learn from.",
       .keys = {{.name = "samples",
                 .type = KeyType::kText,
                 .sentence = "A safetensors file, relative to the run file, with one tensor 'fields' of shape [sample, "
                             "extents of the lattice...].",
                 .required = true},
                {.name = "share",
                 .type = KeyType::kReal,
                 .sentence = "The loss is (1 - share) times the reverse divergence plus share times the forward one.",
                 .default_value = 0.0,
                 .min = 0,
                 .max = 1}}},
      {.name = "start",
       .type = KeyType::kTable,
       .sentence = "Start from trained weights, at this or another lattice and coupling, instead of random ones.",
       .keys = {{.name = "from",
                 .type = KeyType::kText,
                 .sentence =
                     "A checkpoint, or a run directory whose training's last state is taken; relative to the run "
                     "file.",
                 .required = true},
                {.name = "optimiser",
                 .type = KeyType::kText,
                 .sentence = "drop: its moments start from zero. keep: they go on; 'from' must be a run directory.",
                 .default_value = "drop",
                 .choices = {"drop", "keep"}}}},
      {.name = "clip",
       .type = KeyType::kReal,
       .sentence = "The gradient's global L2 norm is scaled down to this.",
       .default_value = 100.0,
       .min = 0,
       .above_min = true},
      {.name = "evaluate_every",
       .type = KeyType::kInteger,
       .sentence = "Steps between evaluations of the ESS on fresh noise.",
       .default_value = 50,
       .min = 1,
       .max = 1e9},
      {.name = "evaluate_samples",
       .type = KeyType::kInteger,
       .sentence = "Samples per evaluation of the ESS.",
       .default_value = 4096,
       .min = 2,
       .max = 1 << 24},
      {.name = "record_every",
       .type = KeyType::kInteger,
       .sentence = "Steps between two points of the training's record, besides those of the evaluations.",
       .default_value = 10,
       .min = 1,
       .max = 1e9},
      {.name = "publish_gain",
       .type = KeyType::kReal,
       .sentence = "placement = \"asap\": a checkpoint is published when the ESS has grown by this factor "
                   "since the last one.",
       .default_value = 1.25,
       .min = 1,
       .above_min = true},
      {.name = "gate_margin",
       .type = KeyType::kReal,
       .sentence =
           "A checkpoint is published only if its ESS is not below that of the last one by more than this share, "
           "both measured on the same draws.",
       .default_value = 0.2,
       .min = 0,
       .max = 1},
      {.name = "stop",
       .type = KeyType::kTable,
       .sentence = "When training stops: the first of its conditions.",
       .default_value = {{"steps", 5000}},
       .keys = {{.name = "steps",
                 .type = KeyType::kInteger,
                 .sentence = "Stop after this many steps.",
                 .default_value = 5000,
                 .min = 0,
                 .max = 1e9},
                {.name = "ess",
                 .type = KeyType::kReal,
                 .sentence = "Stop when an evaluation reaches this ESS.",
                 .min = 0,
                 .max = 1,
                 .above_min = true}}},
  };
  return keys;
}

const std::vector<Key>& chain_keys() {
  static const std::vector<Key> when = {
      {.name = "ess",
       .type = KeyType::kReal,
       .sentence = "The trainer's own ESS reaches this.",
       .min = 0,
       .max = 1,
       .above_min = true},
      {.name = "step",
       .type = KeyType::kInteger,
       .sentence = "This many training steps are done.",
       .min = 0,
       .max = 1e9},
      {.name = "file", .type = KeyType::kText, .sentence = "A checkpoint file, relative to the run file."},
      {.name = "trained", .type = KeyType::kFlag, .sentence = "Training has stopped."},
  };
  static const std::vector<Key> keys = {
      {.name = "length",
       .type = KeyType::kInteger,
       .sentence = "Proposals; the chain stops at the first unit boundary at or after it.",
       .required = true,
       .min = 1,
       .max = 1e15},
      {.name = "placement",
       .type = KeyType::kText,
       .sentence = "scheduled: 'versions' says which checkpoint serves from which index. asap: a new version "
                   "serves from the first index not yet granted when it arrives.",
       .default_value = "scheduled",
       .choices = {"scheduled", "asap"}},
      {.name = "versions",
       .type = KeyType::kTables,
       .sentence = "Which checkpoint serves from which proposal on; default: the trained one from the first.",
       .keys = {{.name = "from",
                 .type = KeyType::kInteger,
                 .sentence = "The first proposal of this version; moved up to a unit boundary.",
                 .required = true,
                 .min = 0,
                 .max = 1e15},
                {.name = "when",
                 .type = KeyType::kTable,
                 .sentence =
                     "What makes the checkpoint: \"trained\", { ess = x }, { step = n } or { file = \"path\" }.",
                 .required = true,
                 .choices = {"trained"},
                 .keys = when}},
       .min_size = 1,
       .max_size = 4096},
      {.name = "until",
       .type = KeyType::kTable,
       .sentence = "Stop earlier, when an observable is known well enough. Tested at proposals 10000, 20000, "
                   "40000, …; the log says that the data chose the length.",
       .keys =
           {{.name = "observable", .type = KeyType::kText, .sentence = "Which observable's mean.", .required = true},
            {.name = "relative_error",
             .type = KeyType::kReal,
             .sentence = "Its error divided by its mean.",
             .required = true,
             .min = 0,
             .above_min = true}}},
      {.name = "observable",
       .type = KeyType::kText,
       .sentence = "The observable whose error the live display shows; default: the theory's first.",
       .default_value = ""},
      {.name = "window",
       .type = KeyType::kInteger,
       .sentence = "Units that may be granted ahead of the last committed one; at least what all workers take at once.",
       .default_value = 1024,
       .min = 1,
       .max = 65536},
      {.name = "lease",
       .type = KeyType::kReal,
       .sentence = "Seconds a worker has for a unit before it is granted to another.",
       .default_value = 30.0,
       .min = 0.1,
       .max = 86400},
      {.name = "audit",
       .type = KeyType::kReal,
       .sentence =
           "Share of all units, chosen by noise, that two workers draw and whose numbers are compared; with one "
           "worker, that it draws twice.",
       .default_value = 0.01,
       .min = 0,
       .max = 1},
  };
  return keys;
}

const Kind& find_kind(const std::vector<Kind>& kinds, const std::string& name) {
  return *std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.name == name; });
}

Section kind_section(const Document& document, const std::string& name, const std::vector<Kind>& kinds) {
  const Key key = kind_key(kinds, "Which " + name + " this is.");
  std::vector<Key> keys = find_kind(kinds, document.text_of(name, key)).keys;
  keys.insert(keys.begin(), key);
  return document.section(name, keys);
}

namespace {

// Makes "auto" an engine, and refuses one that lacks a part of the flow.
void choose_engine(RunSpec& run, const Section& section, const Catalog& catalog) {
  const std::string &usual = catalog.engines.front().name, &last = catalog.engines.back().name;
  const std::string part = catalog.only_last ? catalog.only_last(run) : "";
  if (run.numerics.engine == "auto") {
    run.numerics.engine = part.empty() ? usual : last;
    if (!part.empty()) run.engine_reason = "the engine \"" + usual + "\" has no " + part;
  } else if (!part.empty() && run.numerics.engine != last) {
    throw Error(ErrorCode::kInvalidInput, section.where("engine") + ": the engine \"" + run.numerics.engine +
                                              "\" has no " + part + "; leave the choice to \"auto\", or say \"" + last +
                                              "\".");
  }
}

}  // namespace

RunSpec load_run(const Document& document, const Catalog& catalog) {
  document.refuse_other_sections({"run", "theory", "flow", "train", "chain"});
  RunSpec run;
  const Section section = document.section("run", run_keys(catalog));
  run.name = section.name("name");
  run.unit = section.size("unit");
  run.numerics.engine = section.text("engine");
  run.numerics.precision = section.text("precision") == "mixed" ? Precision::kMixed : Precision::kFloat64;
  run.theory = kind_section(document, "theory", catalog.theories);
  run.flow = kind_section(document, "flow", catalog.flows);
  const Section train = document.section("train", train_keys());
  const Section chain = document.section("chain", chain_keys());
  run.train = train_of(train);
  run.chain = chain_of(chain, run.unit);
  for (const ScheduledVersion& version : run.chain.versions) {
    if (!version.when.step || *version.when.step <= run.train.max_steps) continue;
    throw Error(ErrorCode::kInvalidInput, chain.where("versions") + " asks for step " +
                                              std::to_string(*version.when.step) + ", and training stops at step " +
                                              std::to_string(run.train.max_steps) + " ([train] stop.steps).");
  }
  run.policy = {
      {"run", {{"name", run.name}}}, {"flow", run.flow.values()}, {"train", train.values()}, {"chain", chain.values()}};
  run.noise = section.text("noise").empty()
                  ? json{{"theory", run.theory.values()}, {"seed", section.integer("seed")}}.dump()
                  : json{{"name", section.text("noise")}}.dump();
  run.toml = document.text();
  for (const Kind* kind :
       {&find_kind(catalog.theories, run.theory.text("kind")), &find_kind(catalog.flows, run.flow.text("kind"))}) {
    if (kind->check) kind->check(run);
  }
  choose_engine(run, section, catalog);
  return run;
}

nlohmann::json training_settings(const RunSpec& run) {
  nlohmann::json train = run.policy.at("train");
  train.erase("stop");
  train.erase("record_every");
  train.erase("gate_margin");  // no weight depends on it
  // The schedule's shape depends on where it ends.
  if (run.train.decay == LearningRateDecay::kCosine) train["stop"] = {{"steps", run.train.max_steps}};
  nlohmann::json noise = nlohmann::json::parse(run.noise);  // a seed, or a shared name
  noise.erase("theory");
  return {{"theory", run.theory.values()},
          {"noise", noise},
          {"flow", run.flow.values()},
          {"precision", to_string(run.numerics.precision)},
          {"train", train}};
}

Sha256 training_identity(const RunSpec& run) { return sha256(training_settings(run).dump()); }

std::string identity_difference(const RunSpec& directory, const RunSpec& file) {
  std::string text;
  const auto readable = [](const RunSpec& run) {
    json identity = identity_json(run);
    identity["noise"] = json::parse(run.noise);
    identity["noise"].erase("theory");
    return identity;
  };
  for (const Difference& d : differences(readable(directory), readable(file))) {
    text += (text.empty() ? "" : "; ") + d.key + " is " + d.before + " in the directory and " + d.after +
            " in the run file";
  }
  return text;
}

std::vector<std::string> policy_changes(const RunSpec& before, const RunSpec& after) {
  std::vector<std::string> changes;
  for (const Difference& d : differences(before.policy, after.policy)) {
    changes.push_back(d.key + ": " + d.before + " -> " + d.after);
  }
  return changes;
}

}  // namespace flowloom
