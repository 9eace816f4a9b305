#include "flow/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "flow/catalog.h"
#include "flow/safetensors.h"
#include "spec/error.h"
#include "spec/files.h"
#include "spec/toml_text.h"

namespace flowloom {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "1";
constexpr char kFormatKey[] = "flowloom.format";
constexpr char kTheoryKey[] = "flowloom.theory";
constexpr char kFlowKey[] = "flowloom.flow";
constexpr char kPrecisionKey[] = "flowloom.precision";
constexpr char kStepKey[] = "flowloom.training_step";
constexpr char kLogPKey[] = "flowloom.references.log_p";
constexpr char kLogQKey[] = "flowloom.references.log_q";
constexpr char kThresholdKey[] = "flowloom.threshold";

// JSON's scalars and lists of scalars are TOML's; tables are not.
std::string toml_of(const std::string& name, const Section& section) {
  std::string text = "[" + name + "]\n";
  for (const auto& [key, value] : section.values().items()) {
    const bool tables = value.is_array() && !value.empty() && value.front().is_object();
    text += key + " = " + (tables ? toml_text(value) : value.dump()) + "\n";
  }
  return text;
}

// Checks the sections as those of a run file are checked.
RunSpec checked_sections(const std::string& toml, const std::string& name) {
  const Document document = Document::parse(toml, name);
  document.refuse_other_sections({"theory", "flow"});
  RunSpec run;
  run.theory = kind_section(document, "theory", catalog().theories);
  run.flow = kind_section(document, "flow", catalog().flows);
  for (const Kind* kind :
       {&find_kind(catalog().theories, run.theory.text("kind")), &find_kind(catalog().flows, run.flow.text("kind"))}) {
    if (kind->check) kind->check(run);
  }
  return run;
}

class Parser {
 public:
  Parser(const std::string& bytes, const std::string& name) : name_(name), content_(read_safetensors(bytes, name)) {}

  Checkpoint parse() {
    const std::string format = metadata(kFormatKey);
    if (format != kFormat) {
      throw Error(ErrorCode::kInvalidInput, name_ + " has checkpoint format " + json(format).dump() +
                                                "; this build reads format " + kFormat + ". Use a newer build.");
    }
    Checkpoint checkpoint;
    try {
      const RunSpec run = checked_sections(metadata(kTheoryKey) + "\n" + metadata(kFlowKey), name_ + " (metadata)");
      checkpoint.theory = run.theory;
      checkpoint.flow = run.flow;
    } catch (const Error& error) {
      throw Error(ErrorCode::kCorrupt, error.what());
    }
    const std::string precision = metadata(kPrecisionKey);
    if (precision != to_string(Precision::kMixed) && precision != to_string(Precision::kFloat64)) {
      refuse(std::string("its ") + kPrecisionKey + " is neither mixed nor float64");
    }
    checkpoint.precision = precision == to_string(Precision::kMixed) ? Precision::kMixed : Precision::kFloat64;
    checkpoint.training_step = training_step();
    checkpoint.references = {numbers(kLogPKey), numbers(kLogQKey)};
    if (checkpoint.references.log_p.size() != checkpoint.references.log_q.size()) {
      refuse("its references have unequal numbers of log_p and log_q");
    }
    if (content_.metadata.contains(kThresholdKey)) checkpoint.threshold = threshold();
    checkpoint.weights = weights(*checkpoint.architecture(), checkpoint.precision);
    return checkpoint;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, name_ + " is not a checkpoint: " + what + ".");
  }

  const std::string& metadata(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    if (found == content_.metadata.end()) refuse("its metadata has no " + key);
    return found->second;
  }

  std::int64_t training_step() const {
    const std::string& text = metadata(kStepKey);
    std::int64_t step = -1;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), step);
    if (problem != std::errc() || end != text.data() + text.size() || step < 0) {
      refuse(std::string("its ") + kStepKey + " is not a whole number");
    }
    return step;
  }

  double threshold() const {
    const json value = json::parse(metadata(kThresholdKey), nullptr, false);
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      refuse(std::string("its ") + kThresholdKey + " is no number");
    }
    return value.get<double>();
  }

  std::vector<double> numbers(const char* key) const {
    const json list = json::parse(metadata(key), nullptr, false);
    const std::string what = std::string("its ") + key;
    if (!list.is_array() || (!list.empty() && list.size() != kReferenceDraws)) {
      refuse(what + " is not a list of " + std::to_string(kReferenceDraws) + " numbers");
    }
    std::vector<double> values;
    for (const json& element : list) {
      if (!element.is_number() || !std::isfinite(element.get<double>()))
        refuse(what + " has an element that is no number");
      values.push_back(element.get<double>());
    }
    return values;
  }

  std::vector<double> weights(const Architecture& architecture, Precision precision) const {
    const auto& parameters = architecture.parameters();
    const auto& tensors = content_.tensors;
    if (tensors.size() != parameters.size()) {
      refuse("it has " + std::to_string(tensors.size()) + " tensors, its architecture " +
             std::to_string(parameters.size()));
    }
    std::vector<double> weights;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Tensor& tensor = tensors[i];
      const std::string& name = parameters[i].name;
      if (tensor.name != name) refuse("tensor " + std::to_string(i) + " is not '" + name + "' as in its architecture");
      if (tensor.shape != parameters[i].shape) {
        refuse("tensor '" + name + "' has shape " + json(tensor.shape).dump() + ", in its architecture " +
               json(parameters[i].shape).dump());
      }
      if (tensor.single != (precision == Precision::kMixed)) {
        refuse("tensor '" + name + "' has not the type of its precision");
      }
      if (!std::all_of(tensor.values.begin(), tensor.values.end(), [](double value) { return std::isfinite(value); })) {
        refuse("tensor '" + name + "' has weights that are not finite");
      }
      weights.insert(weights.end(), tensor.values.begin(), tensor.values.end());
    }
    return weights;
  }

  const std::string& name_;
  SafeTensors content_;
};

References evaluate(const Checkpoint& checkpoint, const Engine& engine, Precision precision) {
  const auto model =
      engine.model(make_theory(checkpoint.theory), checkpoint.architecture(), checkpoint.weights, precision);
  Draws draws = model->draw(reference_key(), Purpose::kReference, 0, kReferenceDraws);
  return {std::move(draws.log_p), std::move(draws.log_q)};
}

std::size_t dimensions_of(const Section& theory) { return theory_geometry(make_theory(theory)).dimensions(); }

}  // namespace

NoiseKey reference_key() { return NoiseKey::from("flowloom reference draws"); }

AnyFlow Checkpoint::architecture() const { return AnyFlow(flow, make_theory(theory)); }

std::string Checkpoint::bytes() const {
  SafeTensors content;
  content.metadata = {{kFormatKey, kFormat},
                      {kTheoryKey, toml_of("theory", theory)},
                      {kFlowKey, toml_of("flow", flow)},
                      {kPrecisionKey, to_string(precision)},
                      {kStepKey, std::to_string(training_step)},
                      {kLogPKey, json(references.log_p).dump()},
                      {kLogQKey, json(references.log_q).dump()}};
  if (std::isfinite(threshold)) content.metadata[kThresholdKey] = json(threshold).dump();
  const AnyFlow shape = architecture();
  shape->refuse_other_count(weights.size());
  auto at = weights.begin();
  for (const Parameter& parameter : shape->parameters()) {
    const auto end = at + static_cast<std::ptrdiff_t>(parameter.size());
    content.tensors.push_back({parameter.name, parameter.shape, {at, end}, precision == Precision::kMixed});
    at = end;
  }
  return write_safetensors(content);
}

Checkpoint Checkpoint::parse(const std::string& bytes, const std::string& name) { return Parser(bytes, name).parse(); }

void add_references(Checkpoint& checkpoint, const Engine& engine) {
  References references = evaluate(checkpoint, engine, Precision::kFloat64);
  for (const auto* values : {&references.log_p, &references.log_q}) {
    if (std::all_of(values->begin(), values->end(), [](double value) { return std::isfinite(value); })) continue;
    throw Error(ErrorCode::kHalted, "The flow after " + std::to_string(checkpoint.training_step) +
                                        " training steps does not give finite log_p and log_q; its training has "
                                        "diverged. Lower [train] learning_rate or clip.");
  }
  checkpoint.references = std::move(references);
}

void verify_references(const Checkpoint& checkpoint, const Engine& engine, const std::string& name) {
  if (checkpoint.references.log_p.size() != kReferenceDraws) {
    throw Error(ErrorCode::kConflict, name + " carries no reference draws to verify this machine's numbers by.");
  }
  const auto compare = [&](Precision precision, const char* what, const std::vector<double>& here,
                           const std::vector<double>& there) {
    for (std::size_t i = 0; i < kReferenceDraws; ++i) {
      const double gap = std::abs(here[i] - there[i]);
      const double tolerance = log_weight_tolerance(precision, there[i]);
      if (gap <= tolerance) continue;
      throw Error(ErrorCode::kConflict, name + ": this machine's " + what + " of reference draw " + std::to_string(i) +
                                            " is " + json(here[i]).dump() + ", the checkpoint's " +
                                            json(there[i]).dump() + ": they differ by " + json(gap).dump() +
                                            ", allowed is " + json(tolerance).dump() + " (engine " + engine.build() +
                                            ", " + to_string(precision) + ").");
    }
  };
  const auto verify = [&](Precision precision) {
    const References found = evaluate(checkpoint, engine, precision);
    compare(precision, "log_p", found.log_p, checkpoint.references.log_p);
    compare(precision, "log_q", found.log_q, checkpoint.references.log_q);
  };
  verify(Precision::kFloat64);                                                    // sharp: the same mathematics
  if (checkpoint.precision != Precision::kFloat64) verify(checkpoint.precision);  // what will serve
}

void refuse_unfit(const Checkpoint& checkpoint, const RunSpec& run, const std::string& name) {
  const auto refuse = [&](const std::string& what, const std::string& here, const std::string& there) {
    if (here == there) return;
    throw Error(ErrorCode::kInvalidInput,
                name + " does not fit the run: its " + what + " is " + there + ", the run's is " + here + ".");
  };
  if (checkpoint.references.log_p.size() != kReferenceDraws) {
    throw Error(ErrorCode::kInvalidInput, name +
                                              " does not fit the run: it carries no reference draws, by which workers "
                                              "prove their numbers; publish one that flowloom-server wrote.");
  }
  refuse("theory", run.theory.text("kind"), checkpoint.theory.text("kind"));
  refuse("lattice's dimension", std::to_string(dimensions_of(run.theory)),
         std::to_string(dimensions_of(checkpoint.theory)));
  refuse("precision", to_string(run.numerics.precision), to_string(checkpoint.precision));
  RunSpec served = run;
  served.flow = checkpoint.flow;
  find_kind(catalog().flows, served.flow.text("kind")).check(served);
}

void refuse_unfit_files(const RunSpec& run, const std::filesystem::path& base,
                        const std::function<bool(std::uint32_t entry)>& wanted) {
  for (std::uint32_t entry = 0; entry < run.chain.versions.size(); ++entry) {
    const std::string& file = run.chain.versions[entry].when.file;
    if (file.empty() || !wanted(entry)) continue;
    refuse_unfit(Checkpoint::parse(read_file(base / file), file), run, file);
  }
}

std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, const AnyTheory& theory, const Engine& engine) {
  return engine.model(theory, AnyFlow(checkpoint.flow, theory), checkpoint.weights, checkpoint.precision);
}

std::shared_ptr<const Model> load_model(const std::string& bytes, const std::string& name, const RunSpec& run,
                                        const Engine& engine, const std::function<void()>& verified) {
  const Checkpoint checkpoint = Checkpoint::parse(bytes, name);
  refuse_unfit(checkpoint, run, name);
  verify_references(checkpoint, engine, name);
  verified();
  return make_model(checkpoint, make_theory(run.theory), engine);
}

}  // namespace flowloom
