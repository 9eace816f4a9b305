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
    text += (text.empty() ? "" : "; ") + run_file_key(d.key) + " is " + d.before + " in the directory and " + d.after +
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
