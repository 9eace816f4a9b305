#include "server/training_store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
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

// Numbers; JSON has none that are not finite.
template <std::integral Number>
json to_json(Number value) {
  return value;
}
json to_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
template <std::integral Number>
Number from_json(Number, const json& value) {
  return value.get<Number>();
}
double from_json(double, const json& value) {
  if (!value.is_string()) return value.get<double>();
  return value == "nan" ? std::nan("") : value == "inf" ? HUGE_VAL : -HUGE_VAL;
}

json to_json(const Publication& publication) {
  return {
      {"step", publication.step},     {"ess", to_json(publication.ess)},           {"reasons", publication.reasons},
      {"sha256", publication.sha256}, {"gate_ess", to_json(publication.gate_ess)}, {"refused", publication.refused}};
}

Publication publication_of(const json& entry) {
  Publication publication{entry.at("step"), from_json(0.0, entry.at("ess")),
                          entry.at("reasons").get<std::vector<std::string>>(), entry.at("sha256")};
  if (entry.contains("gate_ess")) {  // not in a state of an older build
    publication.gate_ess = from_json(0.0, entry.at("gate_ess"));
    publication.refused = entry.at("refused");
  }
  return publication;
}

json to_json(const flowloom::v1::TrainingPoint& point) {
  json values = json::object();
  visit_numbers(point, [&](const std::string& name, auto value) { values[name] = to_json(value); });
  return values;
}

flowloom::v1::TrainingPoint point_of(const json& values) {
  flowloom::v1::TrainingPoint point;
  assign_numbers(point, [&](const std::string& name, auto& value) { value = from_json(value, values.at(name)); });
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

std::filesystem::path made(std::filesystem::path directory) {
  try {
    make_directories(directory);
  } catch (const std::filesystem::filesystem_error&) {
    // the lock fails too, with a sentence
  }
  return directory;
}

}  // namespace

TrainingStore::TrainingStore(std::filesystem::path directory)
    : directory_(made(std::move(directory))),
      lock_(directory_,
            "Another trainer works in '" + directory_.string() + "'; stop it, or choose another directory.") {}

std::filesystem::path TrainingStore::checkpoint_file(const Publication& publication) const {
  char name[48];
  std::snprintf(name, sizeof name, "step-%09lld.safetensors", static_cast<long long>(publication.step));
  return directory_ / name;
}

void TrainingStore::save(const RunSpec& run, const SavedTraining& saved) const {
  const TrainerState& state = saved.state;
  json content = {{"version", kVersion},          {"settings", training_settings(run)},
                  {"build", saved.build},         {"state", json::object()},
                  {"seconds", saved.seconds},     {"core_seconds", saved.core_seconds},
                  {"undelivered", json::array()}, {"publications", json::array()}};
  visit_numbers(state, [&](const char* name, const auto& value) { content["state"][name] = to_json(value); });
  for (const Publication& publication : saved.publications) content["publications"].push_back(to_json(publication));
  for (const auto& point : saved.undelivered) content["undelivered"].push_back(to_json(point));
  SafeTensors file;
  for (const auto& [name, array] : arrays_of(state)) {
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
    text += (text.empty() ? "" : "; ") + run_file_key(d.key) + " is " + d.before + " in the state and " + d.after +
            " in the run file";
  }
  if (!text.empty()) {
    throw Error(ErrorCode::kConflict, "The training in '" + directory_.string() + "' belongs to other settings: " +
                                          text + ". Put them back, or train in another run directory.");
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
    for (const auto& [tensor_name, array] : arrays_of(state)) {
      for (Tensor& tensor : file.tensors) {
        if (tensor.name == tensor_name) *array = std::move(tensor.values);
      }
      const bool may_lack = array == &state.adam.largest || array == &state.average;
      if (array->size() != state.weights.size() && !(may_lack && array->empty())) {
        refuse(std::string("it has no proper ") + tensor_name);
      }
    }
    visit_numbers(state, [&](const char* key, auto& value) { value = from_json(value, content.at("state").at(key)); });
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
