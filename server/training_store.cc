#include "server/training_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "flow/safetensors.h"
#include "proto/numbers.h"
#include "spec/differences.h"
#include "spec/error.h"
#include "spec/files.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

using nlohmann::json;

constexpr int kVersion = 3;
constexpr char kStateKey[] = "flowloom.training";
constexpr char kDigestKey[] = "flowloom.sha256";
constexpr char kRemedy[] = ". Put back a copy, or remove it to train again from the start.";

// A state's arrays by their names in the file; the last two may be empty, and are then not there.
template <class State>
auto arrays(State& state) {
  return std::array{std::pair("weights", &state.weights), std::pair("first_moment", &state.adam.first),
                    std::pair("second_moment", &state.adam.second),
                    std::pair("largest_second_moment", &state.adam.largest), std::pair("average", &state.average)};
}

// JSON has no numbers that are not finite.
json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
double number(const json& value) {
  if (!value.is_string()) return value.get<double>();
  return value == "nan" ? std::nan("") : value == "inf" ? HUGE_VAL : -HUGE_VAL;
}

json to_json(const Publication& publication) {
  return {{"step", publication.step},
          {"ess", number(publication.ess)},
          {"reasons", publication.reasons},
          {"sha256", publication.sha256}};
}

Publication publication_of(const json& entry) {
  return {entry.at("step"), number(entry.at("ess")), entry.at("reasons").get<std::vector<std::string>>(),
          entry.at("sha256")};
}

json to_json(const flowloom::v1::TrainingPoint& point) {
  json values = json::object();
  visit_numbers(point, [&](const std::string& name, const auto& value) {
    if constexpr (std::is_same_v<decltype(value), const double&>) {
      values[name] = number(value);
    } else {
      values[name] = value;
    }
  });
  return values;
}

flowloom::v1::TrainingPoint point_of(const json& values) {
  flowloom::v1::TrainingPoint point;
  assign_numbers(point, [&]<class Number>(const std::string& name, Number& value) {
    if constexpr (std::is_same_v<Number, double>) {
      value = number(values.at(name));
    } else {
      value = values.at(name);
    }
  });
  return point;
}

std::string quoted(const std::filesystem::path& path) { return std::string("'").append(path.string()).append("'"); }

// Of the JSON text and the tensors' numbers, so that a flipped bit anywhere is noticed.
std::string digest_of(const std::string& text, const std::vector<Tensor>& tensors) {
  std::string bytes = text;
  for (const Tensor& tensor : tensors) {
    bytes.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(double));
  }
  return to_hex(sha256(bytes));
}

SafeTensors read(const std::filesystem::path& file, const std::string& name) {
  try {
    return read_safetensors(read_file(file), name);
  } catch (const Error& error) {
    std::string sentence = error.what();
    if (sentence.ends_with('.')) sentence.pop_back();
    throw Error(error.code(), sentence + kRemedy);
  }
}

}  // namespace

json training_settings(const RunSpec& run) {
  json train = run.policy.at("train");
  train.erase("stop");
  train.erase("record_every");
  // The schedule's shape depends on where it ends.
  if (run.train.decay == LearningRateDecay::kCosine) train["stop"] = {{"steps", run.train.max_steps}};
  json noise = json::parse(run.noise);  // a seed, or a shared name
  noise.erase("theory");
  return {{"theory", run.theory.values()},
          {"noise", noise},
          {"flow", run.flow.values()},
          {"precision", to_string(run.numerics.precision)},
          {"train", train}};
}

TrainingStore::TrainingStore(std::filesystem::path directory) : directory_(std::move(directory)) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  lock_ = ::open((directory_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw Error(ErrorCode::kUnavailable, "The state directory '" + directory_.string() +
                                             "' cannot be written; mend its "
                                             "permissions or choose another with --state.");
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw Error(ErrorCode::kInUse, "Another trainer works in '" + directory_.string() +
                                       "'; stop it, or choose another "
                                       "directory with --state.");
  }
}

TrainingStore::~TrainingStore() { ::close(lock_); }

std::filesystem::path TrainingStore::checkpoint_file(const Publication& publication) const {
  char name[48];
  std::snprintf(name, sizeof name, "step-%09lld.safetensors", static_cast<long long>(publication.step));
  return directory_ / name;
}

void TrainingStore::save(const RunSpec& run, const SavedTraining& saved) const {
  const TrainerState& state = saved.state;
  json content = {{"version", kVersion},
                  {"settings", training_settings(run)},
                  {"build", saved.build},
                  {"step", state.step},
                  {"skipped", state.skipped},
                  {"samples", state.samples},
                  {"beta1_product", state.adam.beta1_product},
                  {"beta2_product", state.adam.beta2_product},
                  {"plateau_lowest", number(state.plateau.lowest)},
                  {"plateau_waited", state.plateau.waited},
                  {"plateau_passed", state.plateau.passed},
                  {"last_step",
                   {{"loss", number(state.last_step.loss)},
                    {"ess", number(state.last_step.ess)},
                    {"gradient_norm", number(state.last_step.gradient_norm)},
                    {"learning_rate", state.last_step.learning_rate},
                    {"batch", state.last_step.batch}}},
                  {"loss_sum", number(state.loss_sum)},
                  {"loss_count", state.loss_count},
                  {"evaluated_step", state.evaluated_step},
                  {"ess", number(state.ess)},
                  {"ess_average", number(state.ess_average)},
                  {"ess_from_target", number(state.ess_from_target)},
                  {"seconds", saved.seconds},
                  {"core_seconds", saved.core_seconds},
                  {"undelivered", json::array()},
                  {"publications", json::array()}};
  for (const Publication& publication : saved.publications) content["publications"].push_back(to_json(publication));
  for (const auto& point : saved.undelivered) content["undelivered"].push_back(to_json(point));
  SafeTensors file;
  for (const auto& [name, array] : arrays(state)) {
    if (!array->empty()) file.tensors.push_back({name, {static_cast<std::int64_t>(array->size())}, *array, false});
  }
  file.metadata[kStateKey] = content.dump();
  file.metadata[kDigestKey] = digest_of(file.metadata[kStateKey], file.tensors);
  write_file_atomically(state_file(), write_safetensors(file));
}

std::optional<SavedTraining> TrainingStore::load(const RunSpec& run) const {
  if (!std::filesystem::exists(state_file())) return {};
  auto [saved, settings] = read_training_state(state_file());
  std::string text;  // "train.batch is 256 in the state and 512 in the run file; ..."
  for (const Difference& d : differences(settings, training_settings(run))) {
    text +=
        (text.empty() ? "" : "; ") + d.key + " is " + d.before + " in the state and " + d.after + " in the run file";
  }
  if (!text.empty()) {
    throw Error(ErrorCode::kConflict,
                "The training in '" + directory_.string() + "' belongs to other settings: " + text +
                    ". Put them back, or choose another directory with --state, or remove this one "
                    "to train again from the start.");
  }
  return std::move(saved);
}

std::pair<SavedTraining, nlohmann::json> read_training_state(const std::filesystem::path& path) {
  const std::string name = quoted(path);
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::kCorrupt, name + " cannot be used: " + what + kRemedy);
  };
  SavedTraining saved;
  json content;
  try {
    SafeTensors file = read(path, name);
    if (!file.metadata.contains(kStateKey)) refuse("it is not a trainer's state");
    content = json::parse(file.metadata.at(kStateKey));
    if (const int version = content.at("version"); version != kVersion) {
      throw Error(ErrorCode::kInvalidInput, name + " has version " + std::to_string(version) +
                                                "; this build reads version " + std::to_string(kVersion) +
                                                ". Use the build that wrote it" + kRemedy);
    }
    if (digest_of(file.metadata.at(kStateKey), file.tensors) != file.metadata[kDigestKey]) {
      refuse("its bytes are not those that were written");
    }
    TrainerState& state = saved.state;
    for (const auto& [tensor_name, array] : arrays(state)) {
      for (Tensor& tensor : file.tensors) {
        if (tensor.name == tensor_name) *array = std::move(tensor.values);
      }
      const bool may_lack = array == &state.adam.largest || array == &state.average;
      if (array->size() != state.weights.size() && !(may_lack && array->empty())) {
        refuse(std::string("it has no proper ") + tensor_name);
      }
    }
    state.step = content.at("step");
    state.skipped = content.at("skipped");
    state.samples = content.at("samples");
    state.adam.beta1_product = content.at("beta1_product");
    state.adam.beta2_product = content.at("beta2_product");
    state.plateau.lowest = number(content.at("plateau_lowest"));
    state.plateau.waited = content.at("plateau_waited");
    state.plateau.passed = content.at("plateau_passed");
    const json& figures = content.at("last_step");
    state.last_step = {number(figures.at("loss")), number(figures.at("ess")), number(figures.at("gradient_norm")),
                       figures.at("learning_rate"), figures.at("batch")};
    state.loss_sum = number(content.at("loss_sum"));
    state.loss_count = content.at("loss_count");
    state.evaluated_step = content.at("evaluated_step");
    state.ess = number(content.at("ess"));
    state.ess_average = number(content.at("ess_average"));
    state.ess_from_target = number(content.at("ess_from_target"));
    saved.seconds = content.at("seconds");
    saved.core_seconds = content.at("core_seconds");
    for (const json& values : content.at("undelivered")) saved.undelivered.push_back(point_of(values));
    saved.build = content.at("build");
    for (const json& entry : content.at("publications")) saved.publications.push_back(publication_of(entry));
  } catch (const json::exception& error) {
    refuse(error.what());
  }
  return {std::move(saved), content.at("settings")};
}

void TrainingStore::write_checkpoint(const Publication& publication, const std::string& bytes) const {
  write_file_atomically(checkpoint_file(publication), bytes);
}

std::string TrainingStore::read_checkpoint(const Publication& publication) const {
  const std::string bytes = read_file(checkpoint_file(publication));
  if (to_hex(sha256(bytes)) != publication.sha256) {
    throw Error(ErrorCode::kCorrupt, quoted(checkpoint_file(publication)) +
                                         " is not the checkpoint that was written. "
                                         "Put back a copy, or remove the directory to train again from the start.");
  }
  return bytes;
}

}  // namespace flowloom
