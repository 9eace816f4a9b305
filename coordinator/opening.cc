#include "coordinator/opening.h"

#include <algorithm>
#include <cmath>

#include "chain/end.h"
#include "chain/verify.h"
#include "coordinator/rollout.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

constexpr std::size_t kEventsShown = 32;

// True if an entry of the schedule asks for what it asked for before.
bool same_entry(const RunSpec& before, const RunSpec& wanted, std::uint32_t entry) {
  const auto& old_entries = before.chain.versions;
  const auto& new_entries = wanted.chain.versions;
  return entry < old_entries.size() && entry < new_entries.size() && old_entries[entry].when == new_entries[entry].when;
}

// `fulfilled`: pairs of an entry and its version.
bool is_fulfilled(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& fulfilled, std::uint32_t entry) {
  return std::ranges::any_of(fulfilled, [&](const auto& row) { return row.first == entry; });
}

// Takes over the policy of `wanted`; what it may not change was refused before.
void take_over(Store& store, const RunDirectory& directory, const RunSpec& before, const RunSpec& wanted) {
  const auto changes = policy_changes(before, wanted);
  if (changes.empty()) return;
  const std::size_t placed = store.switches().size();
  for (const auto& [entry, version] : store.fulfilled()) {
    if (entry < placed) continue;
    if (!same_entry(before, wanted, entry)) store.unfulfil(entry);
  }
  // What comes is drawn under other versions than the run file said so far (rules 4 and 5), or it says something of
  // those that serve which is not true of them.
  for (const std::string& change : changes) {
    const bool decides = change.starts_with("chain.versions") || change.starts_with("chain.placement") ||
                         change.starts_with("train.") || change.starts_with("flow.");
    if (decides && store.frontier() > 0) store.append({decision_event(change, store.frontier())});
  }
  for (std::size_t i = 0; i < std::min(changes.size(), kEventsShown); ++i) store.add_event("policy", changes[i]);
  directory.write_run_file(wanted.toml);
}

// The registry's files must be what was published: later they are what every configuration is rebuilt from.
void check_models(const Store& store, const RunDirectory& directory) {
  const std::string wrong = damaged_model(store, [&](std::uint32_t version) { return directory.model(version); });
  if (!wrong.empty()) throw Error(ErrorCode::kCorrupt, wrong);
}

// Checkpoints named by a path are read now, relative to `base`; later starts have them in the registry.
void register_files(Store& store, const RunDirectory& directory, const RunSpec& run,
                    const std::filesystem::path& base) {
  const auto fulfilled = store.fulfilled();
  for (std::uint32_t entry = 0; entry < run.chain.versions.size(); ++entry) {
    const std::string& file = run.chain.versions[entry].when.file;
    if (file.empty() || is_fulfilled(fulfilled, entry)) continue;
    register_model(store, directory, run, read_file(base / file), std::nan(""), "file " + file, {entry});
  }
}

}  // namespace

ModelRow register_model(Store& store, const RunDirectory& directory, const RunSpec& run, const std::string& bytes,
                        double ess, const std::string& origin, const std::vector<std::uint32_t>& entries) {
  const auto models = store.models();
  const Sha256 digest = sha256(bytes);
  for (const ModelRow& model : models) {
    if (model.sha256 != digest) continue;
    store.fulfil(entries, model.version);
    return model;
  }
  const std::string name = origin.empty() ? "The checkpoint" : "The checkpoint (" + origin + ")";
  const Checkpoint checkpoint = Checkpoint::parse(bytes, name);
  refuse_unfit(checkpoint, run, name);
  ModelRow row{static_cast<std::uint32_t>(models.size() + 1),
               digest,
               bytes.size(),
               checkpoint.training_step,
               ess,
               origin,
               false};
  if (checkpoint.theory.values() == run.theory.values()) row.threshold = checkpoint.threshold;  // else of other log_p
  write_file_atomically(directory.model(row.version), bytes);
  row.version = store.add_model(row, entries);
  return row;
}

OpenedRun open_run(const RunDirectory& directory, const std::optional<std::filesystem::path>& run_file,
                   const std::vector<std::string>& overrides) {
  if (!run_file && !directory.exists()) {
    directory.refuse_lost_store();
    throw Error(ErrorCode::kNotFound,
                "There is no run in '" + directory.path().string() + "'; name a run file with --run.");
  }
  if (!run_file && !overrides.empty()) {
    throw Error(ErrorCode::kInvalidInput, "--set changes a run file; name it with --run.");
  }
  std::optional<RunSpec> wanted;
  if (run_file) wanted = load_run_file(*run_file, overrides);
  const std::filesystem::path base = run_file ? std::filesystem::absolute(*run_file).parent_path() : directory.path();

  const bool token_is_new = directory.exists() && !std::filesystem::exists(directory.token_file());
  if (token_is_new) directory.create();
  if (!directory.exists()) {
    directory.refuse_lost_store();
    refuse_unfit_files(*wanted, base);  // before anything is made
    directory.create();
    directory.write_run_file(wanted->toml);
    Store::create(directory.store(), *wanted, random_hex(16));
  }
  Store store = Store::open(directory.store(), Store::Mode::kReadWrite);
  RunSpec run = directory.read_run(load_run_text);
  if (store.identity() != run.identity()) {
    throw Error(ErrorCode::kCorrupt, "'" + directory.run_file().string() +
                                         "' is not the run file that this directory's "
                                         "chain was started with; put the original back.");
  }
  check_models(store, directory);
  if (wanted) {
    if (wanted->identity() != run.identity()) {
      throw Error(ErrorCode::kConflict,
                  "'" + directory.path().string() + "' holds another run: " + identity_difference(run, *wanted) +
                      ". Choose another directory with --dir, or the run file that belongs to it.");
    }
    Rollout::check_policy(*wanted, run, store.switches(), store.frontier());
    const auto fulfilled = store.fulfilled();
    refuse_unfit_files(*wanted, base, [&](std::uint32_t entry) {
      return !is_fulfilled(fulfilled, entry) || !same_entry(run, *wanted, entry);
    });
    directory.create();
    take_over(store, directory, run, *wanted);
    run = *wanted;
  }
  register_files(store, directory, run, base);
  Recovered recovered{store.run_id(),    store.begin_epoch(), store.pinned_build(), store.models(),
                      store.fulfilled(), store.switches(),    store.workers(),      store.head()};
  SavedState saved = saved_state(store, run);
  recovered.log = std::move(saved.state);
  recovered.logged = saved.sequence;
  return {std::move(run), std::move(store), std::move(recovered), token_is_new};
}

}  // namespace flowloom
