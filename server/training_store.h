// The trainer's state directory: what a restart goes on from.
//
//   STATE/lock                      held while a trainer works here
//   STATE/state.safetensors         weights and moments in float64; everything else as JSON in the metadata
//   STATE/target.safetensors        the samples of the target, as they were at the start
//   STATE/step-000000120.safetensors  a checkpoint that was published, so that it can be published again
//
// Keeps true: files are whole or not there; a state is never behind the publications it names; what is
// damaged, or belongs to other settings, is refused with a sentence and never used.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flowloom/v1/models.pb.h"
#include "program/directory_lock.h"
#include "server/publishing.h"
#include "server/trainer.h"
#include "spec/run_spec.h"

namespace flowloom {

struct SavedTraining {
  TrainerState state;
  std::vector<Publication> publications;
  double seconds = 0;                                    // spent training, over all starts
  double core_seconds = 0;                               // the same times the threads
  std::string build;                                     // of the engine that trained last
  std::vector<flowloom::v1::TrainingPoint> undelivered;  // of the record
};

class TrainingStore {
 public:
  // Makes the directory if it is missing. Throws `kInUse` while another trainer works in it.
  explicit TrainingStore(std::filesystem::path directory);

  const std::filesystem::path& directory() const { return directory_; }

  // Nothing if there is no state yet. Throws `kConflict` if it belongs to other settings than `run`'s, naming
  // them; `kCorrupt` if it is damaged or no state at all.
  std::optional<SavedTraining> load(const RunSpec& run) const;
  void save(const RunSpec& run, const SavedTraining& saved) const;

  // The samples of the target that the training uses, as safetensors.
  std::filesystem::path target_file() const { return directory_ / "target.safetensors"; }

  // A publication's checkpoint. Reading throws `kCorrupt` unless it has the publication's SHA-256.
  void write_checkpoint(const Publication& publication, const std::string& bytes) const;
  std::string read_checkpoint(const Publication& publication) const;

 private:
  std::filesystem::path state_file() const { return directory_ / "state.safetensors"; }
  std::filesystem::path checkpoint_file(const Publication& publication) const;

  std::filesystem::path directory_;
  DirectoryLock lock_;
};

// A state whose settings nobody has compared, and these settings. Throws as `load` does.
std::pair<SavedTraining, nlohmann::json> read_training_state(const std::filesystem::path& path);

}  // namespace flowloom
