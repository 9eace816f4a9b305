// The store of a run: one SQLite file holding the log, the model registry's index, switches, workers, events and the
// training's record.
//
// Keeps true:
//   - `write` returns only when all of it is on disk, or throws and nothing of it is (synchronous=FULL);
//   - each record's link follows from the one before; the first from the identity. What is read is checked against
//     them;
//   - records are only added: what a rewind leaves behind stays, and is not of the chain any more;
//   - one process owns the file at a time (locking_mode=EXCLUSIVE); a second one is refused with a sentence.
// docs/log-format.md describes the tables. One owner thread.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chain/record.h"
#include "chain/row.h"
#include "flowloom/v1/chain.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

using flowloom::v1::TrainingPoint;

struct ModelRow {
  std::uint32_t version = 0;
  Sha256 sha256{};
  std::uint64_t size = 0;
  std::int64_t training_step = 0;
  double ess = 0;  // NaN: none given
  std::string origin;
  bool verified = false;
  // log_w above which a proposal is drawn twice: the checkpoint's, of this run's theory; infinity: none
  double threshold = std::numeric_limits<double>::infinity();
};

// Who drew units. Numbers are never used again.
struct WorkerRow {
  std::uint64_t number = 0;
  std::string name, device;
  std::string quarantined{};  // why nothing more is taken from this name; empty: it is
};

// The numbers of those in quarantine.
std::set<std::uint64_t> quarantined_numbers(const std::vector<WorkerRow>& workers);

// Who drew a unit, and who drew the same again (0: nobody).
struct UnitPlace {
  std::uint64_t first_index = 0, worker = 0, second = 0;
};

// One durable transaction: what a turn of the coordinator has decided.
struct Write {
  std::vector<WorkerRow> workers{};
  std::vector<std::pair<std::string, std::string>> quarantined{};    // workers' names, and why
  std::vector<std::pair<std::uint64_t, std::uint64_t>> confirmed{};  // units (first proposal): who drew the same again
  std::optional<std::string> build{};                                // pinned
  std::vector<std::uint32_t> verified{};                             // versions
  std::vector<SwitchRecord> switches{};   // of the table: durable before the first grant at or above `from`
  std::optional<std::string> snapshot{};  // of the state (chain/log_state.h) before `records`
  std::vector<Record> records{};

  bool empty() const;
};

struct LinkedRecord {
  std::int64_t sequence = 0;
  Record record;
  Sha256 link{};
};

struct Snapshot {
  std::int64_t sequence = 0;  // of the last record that it covers
  std::string state;
};

class Store {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Makes the file for a new run and returns it open. Throws `kConflict` if there is one.
  static Store create(const std::filesystem::path& file, const RunSpec& run, const std::string& run_id);

  // Opens an existing one. Throws `kNotFound`, `kInUse` (another process owns it), `kConflict` (another format
  // version), `kCorrupt` (no Flowloom store, or damaged).
  static Store open(const std::filesystem::path& file, Mode mode);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  std::string run_id() const;
  Sha256 identity() const;
  std::string identity_text() const;  // whose hash it is

  // The first proposal that is not committed; and the record that says so, the last unit or rewind (0: there is none).
  std::uint64_t frontier() const;
  std::int64_t frontier_record() const;

  // Raises and returns the epoch, durably.
  std::uint64_t begin_epoch();

  // The build that the first worker pinned ("" while none has).
  std::string pinned_build() const;

  // Appends and registers, all of it or nothing. Throws `kUnavailable` (no room, I/O error).
  void write(const Write& write);
  void append(std::vector<Record> records) { write({.records = std::move(records)}); }

  // The last link (the identity while the log is empty), and how many records there are.
  Sha256 head() const;
  std::int64_t size() const;

  // The link of record `sequence`, the identity for 0; nothing if there is no such record.
  std::optional<Sha256> link(std::int64_t sequence) const;

  // The newest one that is whole and belongs to this log; nothing if there is none.
  std::optional<Snapshot> snapshot() const;

  // Calls `visit` for the chain's records from `first_sequence` (1-based) on, in order, until it returns false: without
  // those that a rewind left behind (but for events, which stay true), and with the rewinds themselves that no later
  // one left behind. Throws `kCorrupt`, naming the record, if one cannot be decoded or its link does not follow from it
  // and the record before.
  void for_each(std::int64_t first_sequence, const std::function<bool(const LinkedRecord&)>& visit) const;

  // The same of all rows as they are stored: nothing is left out or decoded, and only the columns' types are checked.
  // `row` lives for the call.
  void for_each_row(
      std::int64_t first_sequence,
      const std::function<bool(std::int64_t sequence, const Row& row, std::string_view link)>& visit) const;

  // Throws `kCorrupt`, naming the record, if one of these is missing or its link does not follow from it and the record
  // before, whether or not a rewind left it behind.
  void check_links(std::int64_t first_sequence, std::int64_t last_sequence) const;

  // The chain's units that hold proposals `first_index` and above, at most `limit` of them, in order. Checked like
  // `for_each`.
  std::vector<UnitRecord> units(std::uint64_t first_index, std::size_t limit) const;

  // The chain's units that `wanted` chooses, from `first_index` on, at most `limit` of them, in order. Checked
  // likewise.
  std::vector<UnitRecord> choose_units(std::uint64_t first_index, std::size_t limit,
                                       const std::function<bool(const UnitPlace&)>& wanted) const;

  // The log's, in order: what lies between record `kept` (0: the log's beginning) and the rewind was left behind.
  struct Rewind {
    std::int64_t sequence = 0, kept = 0;
  };
  const std::vector<Rewind>& rewinds() const;

  // The registry. `add_model` gives the next version number; its file must be durable already.
  std::uint32_t add_model(const ModelRow& row, const std::vector<std::uint32_t>& scheduled);
  std::vector<ModelRow> models() const;

  // Which version fulfils which entry of the run file's `versions`.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> fulfilled() const;  // (entry, version)
  void fulfil(const std::vector<std::uint32_t>& entries, std::uint32_t version);
  void unfulfil(std::uint32_t entry);

  std::vector<SwitchRecord> switches() const;  // the table
  std::vector<WorkerRow> workers() const;

  // Outside the log: what happened when, for people.
  void add_event(const std::string& kind, const std::string& text);
  struct Event {
    std::string at, kind, text;
  };
  std::vector<Event> events() const;

  // The record of the training that is called `training`: durable; a point of a step that is there already replaces it,
  // and points of another training all that is there. Read in the order of the steps.
  void add_training(const std::string& training, const std::vector<TrainingPoint>& points);
  std::vector<TrainingPoint> training(std::int64_t after_step, std::size_t limit) const;
  enum class Points { kAll, kEvaluated };
  std::optional<TrainingPoint> last_training(Points points) const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flowloom
