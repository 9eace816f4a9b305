// The store's log: what is written in one transaction, and how records are read and checked.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "chain/store_impl.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr int kSnapshotsKept = 2;

// The columns of a row and their types. SQLite stores any type in any column, reads one as another and compares them by
// type: a row with others would be one thing to whoever reads it and another to an index.
constexpr char kColumns[] = "sequence, kind, first_index, version, count, flags, data, link, worker, second";
constexpr int kTypes[] = {SQLITE_INTEGER, SQLITE_TEXT, SQLITE_INTEGER, SQLITE_INTEGER, SQLITE_INTEGER,
                          SQLITE_BLOB,    SQLITE_BLOB, SQLITE_BLOB,    SQLITE_INTEGER, SQLITE_INTEGER};

bool has_types(const SQLite::Statement& query) {
  for (int column = 0; column < static_cast<int>(std::size(kTypes)); ++column) {
    if (query.getColumn(column).getType() != kTypes[column]) return false;
  }
  return query.getColumn(3).getInt64() == query.getColumn(3).getUInt() &&
         query.getColumn(4).getInt64() == query.getColumn(4).getUInt();
}

// The row that a query of `kColumns` is at; lives until its next step.
Row row_at(SQLite::Statement& query) {
  return {text_of(query.getColumn(1)),     unsigned_of(query.getColumn(2)), query.getColumn(3).getUInt(),
          query.getColumn(4).getUInt(),    blob_of(query.getColumn(5)),     blob_of(query.getColumn(6)),
          unsigned_of(query.getColumn(8)), unsigned_of(query.getColumn(9))};
}

void bind_number(SQLite::Statement& statement, int position, std::uint64_t number) {
  statement.bind(position, static_cast<std::int64_t>(number));
}

// The parts of a write, each of one table.

void add_worker(SQLite::Database& db, const WorkerRow& row) {
  SQLite::Statement insert(
      db, std::string("INSERT INTO workers(number, name, device, joined_at) VALUES(?, ?, ?, ") + kNow + ")");
  bind_number(insert, 1, row.number);
  insert.bind(2, row.name);
  insert.bind(3, row.device);
  insert.exec();
}

void set_quarantined(SQLite::Database& db, const std::string& name, const std::string& why) {
  SQLite::Statement update(db, "UPDATE workers SET quarantined = ? WHERE name = ?");
  update.bind(1, why);
  update.bind(2, name);
  update.exec();
}

void set_pinned_build(SQLite::Database& db, const std::string& build) {
  SQLite::Statement update(db, "UPDATE meta SET value = ? WHERE key = 'pinned_build'");
  update.bind(1, build);
  update.exec();
}

void set_verified(SQLite::Database& db, std::uint32_t version) {
  SQLite::Statement update(db, "UPDATE models SET verified = 1 WHERE version = ?");
  bind_number(update, 1, version);
  update.exec();
}

void add_switch(SQLite::Database& db, const SwitchRecord& row) {
  SQLite::Statement insert(db, "INSERT INTO switches(from_index, version, sha256, placement) VALUES(?, ?, ?, ?)");
  bind_number(insert, 1, row.from);
  bind_number(insert, 2, row.version);
  bind_blob(insert, 3, row.checkpoint);
  insert.bind(4, static_cast<int>(row.placement));
  insert.exec();
}

// Of the log up to record `sequence`, whose link is `link`.
void add_snapshot(SQLite::Database& db, std::int64_t sequence, const Sha256& link, const std::string& state) {
  SQLite::Statement insert(db, "INSERT OR REPLACE INTO snapshots(sequence, link, state, digest) VALUES(?, ?, ?, ?)");
  insert.bind(1, sequence);
  bind_blob(insert, 2, link);
  bind_blob(insert, 3, state);
  bind_blob(insert, 4, sha256(state));
  insert.exec();
  db.exec("DELETE FROM snapshots WHERE sequence NOT IN (SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT " +
          std::to_string(kSnapshotsKept) + ")");
}

// After record `sequence`, whose link is `link`; both are then the last one's.
void add_records(SQLite::Database& db, const std::vector<Record>& records, std::int64_t& sequence, Sha256& link) {
  SQLite::Statement insert(db,
                           "INSERT INTO records(sequence, kind, first_index, version, count, flags, data, link, "
                           "worker, second) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const Record& record : records) {
    const PackedRecord packed(record);
    const Row& row = packed.row();
    link = next_link(link, row);
    insert.reset();
    insert.bind(1, ++sequence);
    insert.bind(2, std::string(row.kind));
    bind_number(insert, 3, row.first_index);
    bind_number(insert, 4, row.version);
    bind_number(insert, 5, row.count);
    bind_blob(insert, 6, row.flags);
    bind_blob(insert, 7, row.data);
    bind_blob(insert, 8, link);
    bind_number(insert, 9, row.worker);
    bind_number(insert, 10, row.second);
    insert.exec();
  }
}

// Who drew the same again, of the unit that is the chain's.
void set_second(SQLite::Database& db, std::uint64_t first_index, std::uint64_t worker) {
  SQLite::Statement update(db,
                           "UPDATE records SET second = ? WHERE sequence = (SELECT max(sequence) FROM records "
                           "WHERE kind = 'unit' AND first_index = ?)");
  bind_number(update, 1, worker);
  bind_number(update, 2, first_index);
  update.exec();
}

}  // namespace

OldPages::~OldPages() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OldPages::release(const std::string& file) {
  constexpr std::int64_t kKept = 64 << 20, kAtOnce = 8 << 20;
  if (descriptor_ < 0) descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) return;
  const std::int64_t end = status.st_size - kKept;
  if (end - released_ < kAtOnce) return;
  ::posix_fadvise(descriptor_, released_, end - released_, POSIX_FADV_DONTNEED);
  released_ = end;
}

bool Write::empty() const {
  return workers.empty() && quarantined.empty() && confirmed.empty() && !build && verified.empty() &&
         switches.empty() && !snapshot && records.empty();
}

void Store::Impl::load_rewinds() {
  rewinds.clear(), abandoned.clear();
  // The last record of the last unit below is the chain's: whoever goes beyond a unit again has written it again.
  SQLite::Statement query(*db, "SELECT sequence, first_index FROM records WHERE kind = 'rewind' ORDER BY sequence");
  SQLite::Statement unit(*db,
                         "SELECT sequence FROM records WHERE kind = 'unit' AND first_index < ? AND sequence < ? "
                         "ORDER BY first_index DESC, sequence DESC LIMIT 1");
  while (query.executeStep()) {
    const std::int64_t rewind = query.getColumn(0).getInt64();
    unit.reset();
    unit.bind(1, query.getColumn(1).getInt64());
    unit.bind(2, rewind);
    const std::int64_t kept = unit.executeStep() ? unit.getColumn(0).getInt64() : 0;
    rewinds.push_back({rewind, kept});
    std::erase_if(abandoned, [&](const auto& range) { return range.first > kept; });
    if (kept + 1 < rewind) abandoned.emplace_back(kept + 1, rewind - 1);
  }
}

void Store::write(const Write& write) {
  if (write.empty()) return;
  Sha256 link = impl_->head;
  std::int64_t sequence = impl_->size;
  impl_->guard([&] {
    SQLite::Database& db = *impl_->db;
    SQLite::Transaction transaction(db);
    for (const WorkerRow& row : write.workers) add_worker(db, row);
    for (const auto& [name, why] : write.quarantined) set_quarantined(db, name, why);
    if (write.build) set_pinned_build(db, *write.build);
    for (const std::uint32_t version : write.verified) set_verified(db, version);
    for (const SwitchRecord& row : write.switches) add_switch(db, row);
    if (write.snapshot) add_snapshot(db, sequence, link, *write.snapshot);
    add_records(db, write.records, sequence, link);
    for (const auto& [first_index, worker] : write.confirmed) set_second(db, first_index, worker);
    transaction.commit();
    impl_->old_pages.release(impl_->file);
  });
  impl_->head = link;
  impl_->size = sequence;
  if (std::ranges::any_of(write.records, [](const Record& r) { return std::holds_alternative<RewindRecord>(r); })) {
    impl_->guard([&] { impl_->load_rewinds(); });
  }
}

Sha256 Store::head() const { return impl_->head; }
std::int64_t Store::size() const { return impl_->size; }
const std::vector<Store::Rewind>& Store::rewinds() const { return impl_->rewinds; }

std::optional<Sha256> Store::link(std::int64_t sequence) const {
  if (sequence == 0) return identity();
  return impl_->guard([&]() -> std::optional<Sha256> {
    SQLite::Statement query(*impl_->db, "SELECT link FROM records WHERE sequence = ?");
    query.bind(1, sequence);
    if (!query.executeStep()) return {};
    return digest_of(query.getColumn(0), impl_->record_name(sequence));
  });
}

std::optional<Snapshot> Store::snapshot() const {
  return impl_->guard([&]() -> std::optional<Snapshot> {
    SQLite::Statement query(*impl_->db, "SELECT sequence, link, state, digest FROM snapshots ORDER BY sequence DESC");
    while (query.executeStep()) {
      Snapshot snapshot{query.getColumn(0).getInt64(), std::string(blob_of(query.getColumn(2)))};
      const auto of_log = link(snapshot.sequence);
      if (of_log && !impl_->left_behind(snapshot.sequence) && blob_of(query.getColumn(1)) == bytes_of(*of_log) &&
          blob_of(query.getColumn(3)) == bytes_of(sha256(snapshot.state))) {
        return snapshot;
      }
    }
    return {};
  });
}

void Store::for_each_row(
    std::int64_t first_sequence,
    const std::function<bool(std::int64_t sequence, const Row& row, std::string_view link)>& visit) const {
  impl_->guard([&] {
    SQLite::Statement query(*impl_->db,
                            std::string("SELECT ") + kColumns + " FROM records WHERE sequence >= ? ORDER BY sequence");
    query.bind(1, first_sequence);
    while (query.executeStep()) {
      const std::int64_t sequence = query.getColumn(0).getInt64();
      if (!has_types(query)) {
        throw Error(ErrorCode::kCorrupt, impl_->record_name(sequence) + " has a value that its column cannot hold.");
      }
      if (!visit(sequence, row_at(query), blob_of(query.getColumn(7)))) break;
    }
  });
}

namespace {

// Goes along the links of rows. What it throws ends with the way out.
class LinkWalk {
 public:
  LinkWalk(std::optional<Sha256> previous, std::int64_t first_sequence)
      : previous_(previous), expected_(first_sequence) {}

  void in_order(std::int64_t sequence, const std::string& name) {
    if (sequence == expected_++ && previous_) return;
    throw damaged(name + " follows a record that is missing.");
  }

  // The row's link, which is the one that is `stored`.
  const Sha256& follow(const Row& row, std::string_view stored, const std::string& name) {
    previous_ = next_link(*previous_, row);
    if (stored == bytes_of(*previous_)) return *previous_;
    throw damaged(name + " was changed: its link does not follow from it and the record before.");
  }

  static Error damaged(const std::string& what) {
    return Error(ErrorCode::kCorrupt,
                 what + " It takes a whole copy of chain.sqlite, or a chain from the beginning in another directory.");
  }

 private:
  std::optional<Sha256> previous_;
  std::int64_t expected_;
};

}  // namespace

void Store::for_each(std::int64_t first_sequence, const std::function<bool(const LinkedRecord&)>& visit) const {
  LinkWalk links(link(first_sequence - 1), first_sequence);
  for_each_row(first_sequence, [&](std::int64_t sequence, const Row& row, std::string_view stored) {
    const std::string name = impl_->record_name(sequence);
    links.in_order(sequence, name);
    Record record = from_row(row, name);
    const Sha256& link = links.follow(row, stored, name);
    if (impl_->left_behind(sequence) && !std::holds_alternative<EventRecord>(record)) return true;
    return visit({sequence, std::move(record), link});
  });
}

void Store::check_links(std::int64_t first_sequence, std::int64_t last_sequence) const {
  LinkWalk links(link(first_sequence - 1), first_sequence);
  std::int64_t reached = first_sequence - 1;
  for_each_row(first_sequence, [&](std::int64_t sequence, const Row& row, std::string_view stored) {
    const std::string name = impl_->record_name(sequence);
    links.in_order(sequence, name);
    links.follow(row, stored, name);
    reached = sequence;
    return sequence < last_sequence;
  });
  if (reached < last_sequence) throw LinkWalk::damaged(impl_->record_name(reached + 1) + " is missing.");
}

std::vector<UnitRecord> Store::units(std::uint64_t first_index, std::size_t limit) const {
  std::vector<UnitRecord> units;
  if (limit == 0) return units;
  // The last record of that unit is the chain's, wherever the chain has come that far.
  const std::int64_t sequence = impl_->guard([&]() -> std::int64_t {
    SQLite::Statement query(*impl_->db,
                            "SELECT sequence FROM records WHERE kind = 'unit' AND first_index <= ? "
                            "ORDER BY first_index DESC, sequence DESC LIMIT 1");
    bind_number(query, 1, first_index);
    return query.executeStep() ? query.getColumn(0).getInt64() : 1;
  });
  for_each(sequence, [&](const LinkedRecord& linked) {
    if (const auto* unit = std::get_if<UnitRecord>(&linked.record)) {
      if (unit->data.first_index + unit->data.count() > first_index) units.push_back(*unit);
    }
    return units.size() < limit;
  });
  return units;
}

std::vector<UnitRecord> Store::choose_units(std::uint64_t first_index, std::size_t limit,
                                            const std::function<bool(const UnitPlace&)>& wanted) const {
  std::vector<std::int64_t> chosen;
  impl_->guard([&] {
    SQLite::Statement query(*impl_->db,
                            "SELECT first_index, sequence, worker, second FROM records "
                            "WHERE kind = 'unit' AND first_index >= ? ORDER BY first_index, sequence");
    bind_number(query, 1, first_index);
    while (chosen.size() < limit && query.executeStep()) {
      const std::int64_t sequence = query.getColumn(1).getInt64();
      const UnitPlace place{unsigned_of(query.getColumn(0)), unsigned_of(query.getColumn(2)),
                            unsigned_of(query.getColumn(3))};
      if (!impl_->left_behind(sequence) && wanted(place)) chosen.push_back(sequence);
    }
  });
  std::vector<UnitRecord> units;
  for (const std::int64_t sequence : chosen) {
    for_each(sequence, [&](const LinkedRecord& linked) {
      units.push_back(std::get<UnitRecord>(linked.record));
      return false;
    });
  }
  return units;
}

std::uint64_t Store::frontier() const {
  return impl_->guard([&]() -> std::uint64_t {
    SQLite::Statement query(*impl_->db, "SELECT first_index, count FROM records WHERE sequence = ?");
    query.bind(1, frontier_record());
    return query.executeStep() ? unsigned_of(query.getColumn(0)) + unsigned_of(query.getColumn(1)) : 0;
  });
}

std::int64_t Store::frontier_record() const {
  return impl_->guard([&]() -> std::int64_t {
    SQLite::Statement query(*impl_->db, "SELECT kind, sequence FROM records ORDER BY sequence DESC");
    while (query.executeStep()) {
      const std::string_view kind = text_of(query.getColumn(0));
      if (kind == "unit" || kind == "rewind") return query.getColumn(1).getInt64();
    }
    return 0;
  });
}

}  // namespace flowloom
