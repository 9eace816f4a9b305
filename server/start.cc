#include "server/start.h"

#include <algorithm>
#include <cmath>

#include "flow/catalog.h"
#include "flow/safetensors.h"
#include "server/training_store.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using nlohmann::json;

// Of [flow], what says nothing about the weights' meaning.
constexpr const char* kStartsOnly[] = {"prior_mass2", "init_scale"};

void refuse_other_architecture(const json& theory, const json& flow, const RunSpec& run, const std::string& name) {
  const auto compare = [&](const std::string& what, const json& there, const json& here) {
    if (there == here) return;
    throw Error(ErrorCode::kInvalidInput, "[train] start: " + name + " has " + what + " = " + there.dump() +
                                              ", this run " + here.dump() +
                                              "; weights go only to the same architecture. Make them equal.");
  };
  compare("theory.kind", theory.at("kind"), run.theory.values().at("kind"));
  compare("the dimension", theory.at("lattice").size(), run.theory.values().at("lattice").size());
  json before = flow, after = run.flow.values();
  for (const char* key : kStartsOnly) {
    before.erase(key);
    after.erase(key);
  }
  for (const auto& [key, value] : after.items()) compare("flow." + key, before.value(key, json()), value);
}

}  // namespace

TrainerState starting_state(const RunSpec& run, const std::filesystem::path& base) {
  const std::filesystem::path from = base / run.train.start;
  const std::string name = "'" + run.train.start + "'";
  if (!std::filesystem::exists(from)) {
    throw Error(ErrorCode::kNotFound,
                "[train] start: " + name + " does not exist (there is no '" + from.string() + "').");
  }
  TrainerState state;
  if (std::filesystem::is_directory(from)) {
    auto file = from / "train" / "state.safetensors";
    if (!std::filesystem::exists(file)) file = from / "state.safetensors";
    if (!std::filesystem::exists(file)) {
      throw Error(ErrorCode::kNotFound,
                  "[train] start: " + name + " has no training's state (train/state.safetensors).");
    }
    auto [saved, settings] = read_training_state(file);
    refuse_other_architecture(settings.at("theory"), settings.at("flow"), run, name);
    state.weights = std::move(saved.state.weights);
    if (run.train.average > 0) state.average = std::move(saved.state.average);
    if (run.train.start_keeps_optimiser) state.adam = std::move(saved.state.adam);
  } else {
    Checkpoint checkpoint = Checkpoint::parse(read_file(from), name);
    refuse_other_architecture(checkpoint.theory.values(), checkpoint.flow.values(), run, name);
    if (run.train.start_keeps_optimiser) {
      throw Error(ErrorCode::kInvalidInput, "[train] start: " + name +
                                                " is a checkpoint, which has no optimiser's state; name the run's "
                                                "directory, or set optimiser = \"drop\".");
    }
    state.weights = std::move(checkpoint.weights);
  }
  if (run.numerics.precision == Precision::kMixed) round_to_single(state.weights);
  if (run.train.average > 0 && state.average.empty()) state.average = state.weights;
  if (state.adam.first.empty()) state.adam = Adam(state.weights.size());
  return state;
}

std::vector<double> read_target_samples(const std::filesystem::path& file, const RunSpec& run) {
  const std::string name = "'" + file.string() + "'";
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorCode::kNotFound, "[train] target: " + name + " does not exist.");
  }
  SafeTensors content = read_safetensors(read_file(file), name);
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::kInvalidInput, "[train] target: " + name + " " + what + ".");
  };
  std::vector<std::int64_t> shape = theory_shape(theory_of(run));
  const auto fields = std::find_if(content.tensors.begin(), content.tensors.end(),
                                   [](const Tensor& tensor) { return tensor.name == "fields"; });
  if (fields == content.tensors.end()) refuse("has no tensor 'fields'");
  if (fields->shape.size() != shape.size() + 1 || fields->shape[0] < 2 ||
      !std::equal(shape.begin(), shape.end(), fields->shape.begin() + 1)) {
    refuse("has 'fields' of shape " + json(fields->shape).dump() + "; a run on " + json(shape).dump() +
           " wants [samples, " + json(shape).dump().substr(1) + ", at least two samples");
  }
  const auto bad =
      std::find_if_not(fields->values.begin(), fields->values.end(), [](double x) { return std::isfinite(x); });
  if (bad != fields->values.end()) {
    const auto volume = static_cast<std::ptrdiff_t>(fields->values.size()) / fields->shape[0];
    refuse("has a number that is not finite in sample " + std::to_string((bad - fields->values.begin()) / volume));
  }
  return std::move(fields->values);
}

void refuse_unfit_training_files(const RunSpec& run, const std::filesystem::path& base) {
  if (!run.train.start.empty()) starting_state(run, base);
  if (!run.train.target_samples.empty()) read_target_samples(base / run.train.target_samples, run);
}

}  // namespace flowloom
