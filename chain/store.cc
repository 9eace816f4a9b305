#include "chain/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <cmath>

#include "lattice/theories.h"
#include "proto/numbers.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

constexpr int kApplicationId = 0x466c6f6d;  // "Flom"
constexpr int kFormat = 2;                  // user_version; docs/log-format.md

constexpr char kSchema[] = R"sql(
  CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE records(
    sequence INTEGER PRIMARY KEY,   -- 1, 2, 3, …
    kind TEXT NOT NULL,             -- unit, switch, reweigh, event
    first_index INTEGER NOT NULL,   -- unit: its first proposal; switch: from; reweigh: the state; event: the frontier
    version INTEGER NOT NULL,       -- 0 for an event
    count INTEGER NOT NULL,         -- unit: proposals; else 0
    flags BLOB NOT NULL,            -- unit: accepted, one bit each; switch: one byte, 1 if placed by the clock
    data BLOB NOT NULL,             -- unit: float64 [log_p, log_q, sums…][proposal]; switch: SHA-256; reweigh: log_q
    link BLOB NOT NULL);            -- SHA-256(previous link, SHA-256(canonical bytes))
  CREATE INDEX units ON records(first_index) WHERE kind = 'unit';
  CREATE TABLE columns(position INTEGER PRIMARY KEY, name TEXT NOT NULL, sentence TEXT NOT NULL);
  CREATE TABLE models(
    version INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, training_step INTEGER NOT NULL,
    ess REAL, origin TEXT NOT NULL, verified INTEGER NOT NULL, published_at TEXT NOT NULL);
  CREATE TABLE scheduled(entry INTEGER PRIMARY KEY, version INTEGER NOT NULL);
  CREATE TABLE switches(
    from_index INTEGER PRIMARY KEY, version INTEGER NOT NULL, sha256 BLOB NOT NULL, by_clock INTEGER NOT NULL);
  CREATE TABLE events(sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
  CREATE TABLE training(            -- columns: message TrainingPoint; NULL for NaN
    step INTEGER PRIMARY KEY, seconds REAL, core_seconds REAL, samples INTEGER, loss REAL, batch_ess REAL, ess REAL,
    ess_from_target REAL, gradient_norm REAL, learning_rate REAL, batch INTEGER, skipped INTEGER);
)sql";

constexpr char kNow[] = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

std::string blob(const SQLite::Column& column) {
  const auto* data = static_cast<const char*>(column.getBlob());
  return data ? std::string(data, static_cast<std::size_t>(column.getBytes())) : std::string();
}

void bind_blob(SQLite::Statement& statement, int position, std::string_view bytes) {
  statement.bind(position, static_cast<const void*>(bytes.data()), static_cast<int>(bytes.size()));
}

void bind_blob(SQLite::Statement& statement, int position, const Sha256& digest) {
  statement.bind(position, digest.data(), static_cast<int>(digest.size()));
}

Sha256 digest_of(const SQLite::Column& column, const std::string& what) {
  const std::string bytes = blob(column);
  Sha256 digest;
  if (bytes.size() != digest.size()) throw Error(ErrorCode::kCorrupt, what + " does not hold a SHA-256.");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

// What the tables hold of a record, besides its place and link.
struct Row {
  const char* kind = "";
  std::uint64_t first_index = 0;
  std::uint32_t version = 0;
  std::size_t count = 0;
  std::string flags, data;
};

struct ToRow {
  Row operator()(const UnitRecord& r) const {
    return {"unit",         r.data.first_index,     r.data.version,
            r.data.count(), pack_flags(r.accepted), pack(r.data.log_p) + pack(r.data.log_q) + pack(r.data.sums)};
  }
  Row operator()(const SwitchRecord& r) const {
    return {"switch",
            r.from,
            r.version,
            0,
            std::string(1, r.by_clock ? '\1' : '\0'),
            std::string(r.checkpoint.begin(), r.checkpoint.end())};
  }
  Row operator()(const ReweighRecord& r) const {
    return {"reweigh", r.index, r.version, 0, "", pack(std::vector<double>{r.log_q})};
  }
  Row operator()(const EventRecord& r) const { return {"event", r.at, 0, 0, "", r.text}; }
};

Record from_row(const std::string& kind, const Row& row, const std::string& what) {
  const auto corrupt = [&](const char* why) { return Error(ErrorCode::kCorrupt, what + " " + why + "."); };
  if (kind == "unit") {
    const std::vector<double> values = unpack(row.data);
    if (row.count == 0 || row.count > values.size() / 2 || row.data.size() % (row.count * sizeof(double)) != 0 ||
        row.flags.size() != (row.count + 7) / 8) {
      throw corrupt("is a unit whose arrays have the wrong size");
    }
    UnitRecord unit{{row.first_index, row.version, {}, {}, {}}, unpack_flags(row.flags, row.count)};
    const auto at = [&](std::size_t field) { return values.begin() + static_cast<std::ptrdiff_t>(field * row.count); };
    unit.data.log_p.assign(at(0), at(1));
    unit.data.log_q.assign(at(1), at(2));
    unit.data.sums.assign(at(2), values.end());
    return unit;
  }
  if (kind == "switch") {
    SwitchRecord record{row.first_index, row.version, {}, row.flags == "\1"};
    if (row.data.size() != record.checkpoint.size() || row.flags.size() != 1) throw corrupt("is a damaged switch");
    std::copy(row.data.begin(), row.data.end(), record.checkpoint.begin());
    return record;
  }
  if (kind == "reweigh") {
    if (row.data.size() != sizeof(double)) throw corrupt("is a damaged reweigh");
    return ReweighRecord{row.first_index, row.version, unpack(row.data)[0]};
  }
  if (kind == "event") return EventRecord{row.first_index, row.data};
  throw corrupt("is of an unknown kind");
}

[[noreturn]] void rethrow(const SQLite::Exception& error, const std::string& file) {
  const bool own = error.getErrorCode() < 0;  // SQLiteCpp's: a row or column that is not there
  const std::string reason = own ? error.what() : error.getErrorStr();
  switch (error.getErrorCode()) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorCode::kInUse, "'" + file +
                                         "' is owned by another process: a coordinator is running on this "
                                         "directory; ask it ('flowloom status'), or end it first.");
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      throw Error(ErrorCode::kUnavailable, "The store '" + file + "' cannot be written (" + reason +
                                               "); make room on its disk or mend its permissions.");
    case SQLITE_NOMEM:  // a damaged size asks for any amount
      throw Error(ErrorCode::kUnavailable, "The store '" + file +
                                               "' needs more memory than there is, or is damaged; end other programs, "
                                               "or restore it from a backup.");
    case SQLITE_CONSTRAINT:
    case SQLITE_INTERNAL:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      throw Error(ErrorCode::kInternal, "The store '" + file + "' failed: " + reason + ".");
    default:  // also what is missing or too large in a file whose damage SQLite did not see
      throw Error(ErrorCode::kCorrupt,
                  "'" + file + "' is damaged or no Flowloom store (" + reason + "); restore it from a backup.");
  }
}

}  // namespace

struct Store::Impl {
  std::string file;
  std::unique_ptr<SQLite::Database> db;
  Sha256 head{};
  std::int64_t size = 0;

  template <class Work>
  auto guard(Work work) const {
    try {
      return work();
    } catch (const SQLite::Exception& error) {
      rethrow(error, file);
    }
  }

  SQLite::Column meta(SQLite::Statement& query, const char* key) const {
    query.bind(1, key);
    if (!query.executeStep()) throw Error(ErrorCode::kCorrupt, "'" + file + "' lacks the entry '" + key + "'.");
    return query.getColumn(0);
  }

  void insert_scheduled(const std::vector<std::uint32_t>& entries, std::uint32_t version) {
    SQLite::Statement insert(*db, "INSERT OR IGNORE INTO scheduled(entry, version) VALUES(?, ?)");
    for (const std::uint32_t entry : entries) {
      insert.reset();
      insert.bind(1, static_cast<std::int64_t>(entry));
      insert.bind(2, static_cast<std::int64_t>(version));
      insert.exec();
    }
  }

  void load_head() {
    SQLite::Statement query(*db, "SELECT sequence, link FROM records ORDER BY sequence DESC LIMIT 1");
    if (query.executeStep()) {
      size = query.getColumn(0).getInt64();
      head = digest_of(query.getColumn(1), "Record " + std::to_string(size) + " of '" + file + "'");
    } else {
      SQLite::Statement meta_query(*db, "SELECT value FROM meta WHERE key = ?");
      head = digest_of(meta(meta_query, "identity"), "The identity in '" + file + "'");
    }
  }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Store Store::create(const std::filesystem::path& file, const RunSpec& run, const std::string& run_id) {
  const auto exists_already = [&] {
    return Error(ErrorCode::kConflict, "'" + file.string() + "' exists already; it is never overwritten.");
  };
  if (std::filesystem::exists(file)) throw exists_already();
  // Filled under a name of its own, then linked: a creation that was cut short leaves no store behind, and of two at once
  // only one succeeds.
  const std::filesystem::path unfinished = file.string() + ".new-" + run_id;
  auto impl = std::make_unique<Impl>();
  impl->file = file.string();
  impl->guard([&] {
    impl->db = std::make_unique<SQLite::Database>(unfinished.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    impl->db->exec("PRAGMA synchronous=FULL;");
    SQLite::Transaction transaction(*impl->db);
    impl->db->exec(kSchema);
    impl->db->exec("PRAGMA application_id=" + std::to_string(kApplicationId) + ";");
    impl->db->exec("PRAGMA user_version=" + std::to_string(kFormat) + ";");
    SQLite::Statement insert(*impl->db, "INSERT INTO meta(key, value) VALUES(?, ?)");
    const auto put = [&](const char* key, auto bind) {
      insert.reset();
      insert.bind(1, key);
      bind(insert);
      insert.exec();
    };
    put("run_id", [&](auto& s) { s.bind(2, run_id); });
    put("identity", [&](auto& s) { bind_blob(s, 2, run.identity()); });
    put("identity_text", [&](auto& s) { s.bind(2, run.identity_text()); });
    put("epoch", [&](auto& s) { s.bind(2, 0); });
    put("pinned_build", [&](auto& s) { s.bind(2, ""); });
    SQLite::Statement column(*impl->db, "INSERT INTO columns(name, sentence) VALUES(?, ?)");
    for (const SumInfo& sum : theory_sums(make_theory(run.theory))) {
      column.reset();
      column.bind(1, sum.name);
      column.bind(2, sum.sentence);
      column.exec();
    }
    transaction.commit();
  });
  impl->db.reset();
  std::error_code failed;
  std::filesystem::create_hard_link(unfinished, file, failed);
  if (failed && failed != std::errc::file_exists) {
    std::filesystem::rename(unfinished, file);  // a file system without links
  } else {
    std::filesystem::remove(unfinished);
  }
  if (failed == std::errc::file_exists) throw exists_already();
  return open(file, Mode::kReadWrite);
}

Store Store::open(const std::filesystem::path& file, Mode mode) {
  if (!std::filesystem::is_regular_file(file)) {
    throw Error(ErrorCode::kNotFound, "There is no run at '" + file.parent_path().string() +
                                          "' (no chain.sqlite); check the path, or start one with 'flowloom up'.");
  }
  auto impl = std::make_unique<Impl>();
  impl->file = file.string();
  impl->guard([&] {
    // A read-only opener too must be able to replay the write-ahead log that a killed coordinator left behind.
    impl->db = std::make_unique<SQLite::Database>(file.string(), SQLite::OPEN_READWRITE, 200);
    impl->db->exec("PRAGMA locking_mode=EXCLUSIVE;");
    if (impl->db->execAndGet("PRAGMA application_id").getInt() != kApplicationId) {
      throw Error(ErrorCode::kCorrupt, "'" + file.string() + "' is an SQLite file, but not a Flowloom store.");
    }
    const int format = impl->db->execAndGet("PRAGMA user_version").getInt();
    if (format != kFormat) {
      throw Error(ErrorCode::kConflict, "'" + file.string() + "' has store format " + std::to_string(format) +
                                            "; this build reads format " + std::to_string(kFormat) +
                                            ": use the Flowloom that wrote it.");
    }
    impl->db->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
    if (mode == Mode::kReadOnly) impl->db->exec("PRAGMA query_only=ON;");
    impl->load_head();
  });
  Store store(std::move(impl));
  if (sha256(store.identity_text()) != store.identity()) {
    throw Error(ErrorCode::kCorrupt, "'" + file.string() +
                                         "' is damaged: its identity is not the hash of its identity's "
                                         "text; restore it from a backup.");
  }
  return store;
}

std::string Store::identity_text() const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT value FROM meta WHERE key = ?");
    return impl_->meta(query, "identity_text").getString();
  });
}

std::string Store::run_id() const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT value FROM meta WHERE key = ?");
    return impl_->meta(query, "run_id").getString();
  });
}

Sha256 Store::identity() const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT value FROM meta WHERE key = ?");
    return digest_of(impl_->meta(query, "identity"), "The identity in '" + impl_->file + "'");
  });
}

std::uint64_t Store::frontier() const {
  return impl_->guard([&] {
    return static_cast<std::uint64_t>(
        impl_->db->execAndGet("SELECT coalesce(max(first_index + count), 0) FROM records WHERE kind = 'unit'")
            .getInt64());
  });
}

std::uint64_t Store::begin_epoch() {
  return impl_->guard([&] {
    impl_->db->exec("UPDATE meta SET value = value + 1 WHERE key = 'epoch'");
    SQLite::Statement query(*impl_->db, "SELECT value FROM meta WHERE key = ?");
    return static_cast<std::uint64_t>(impl_->meta(query, "epoch").getInt64());
  });
}

std::string Store::pinned_build() const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT value FROM meta WHERE key = ?");
    return impl_->meta(query, "pinned_build").getString();
  });
}

void Store::pin_build(const std::string& build) {
  impl_->guard([&] {
    SQLite::Statement update(*impl_->db, "UPDATE meta SET value = ? WHERE key = 'pinned_build'");
    update.bind(1, build);
    update.exec();
  });
}

void Store::append(const std::vector<Record>& records) {
  if (records.empty()) return;
  Sha256 link = impl_->head;
  std::int64_t sequence = impl_->size;
  impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    SQLite::Statement insert(*impl_->db,
                             "INSERT INTO records(sequence, kind, first_index, version, count, flags, data, link) "
                             "VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
    for (const Record& record : records) {
      const Row row = std::visit(ToRow{}, record);
      link = next_link(link, record);
      insert.reset();
      insert.bind(1, ++sequence);
      insert.bind(2, row.kind);
      insert.bind(3, static_cast<std::int64_t>(row.first_index));
      insert.bind(4, static_cast<std::int64_t>(row.version));
      insert.bind(5, static_cast<std::int64_t>(row.count));
      bind_blob(insert, 6, row.flags);
      bind_blob(insert, 7, row.data);
      bind_blob(insert, 8, link);
      insert.exec();
    }
    transaction.commit();
  });
  impl_->head = link;
  impl_->size = sequence;
}

Sha256 Store::head() const { return impl_->head; }
std::int64_t Store::size() const { return impl_->size; }

void Store::for_each(std::int64_t first_sequence, const std::function<bool(const LinkedRecord&)>& visit) const {
  impl_->guard([&] {
    SQLite::Statement query(*impl_->db,
                            "SELECT sequence, kind, first_index, version, count, flags, data, link FROM records "
                            "WHERE sequence >= ? ORDER BY sequence");
    query.bind(1, first_sequence);
    while (query.executeStep()) {
      const std::int64_t sequence = query.getColumn(0).getInt64();
      const std::string what = "Record " + std::to_string(sequence) + " of '" + impl_->file + "'";
      Row row;
      row.first_index = static_cast<std::uint64_t>(query.getColumn(2).getInt64());
      row.version = static_cast<std::uint32_t>(query.getColumn(3).getInt64());
      row.count = static_cast<std::size_t>(query.getColumn(4).getInt64());
      row.flags = blob(query.getColumn(5));
      row.data = blob(query.getColumn(6));
      LinkedRecord linked{sequence, from_row(query.getColumn(1).getString(), row, what), {}};
      linked.link = digest_of(query.getColumn(7), what);
      if (!visit(linked)) break;
    }
  });
}

std::vector<UnitRecord> Store::units(std::uint64_t first_index, std::size_t limit) const {
  const std::int64_t sequence = impl_->guard([&]() -> std::int64_t {
    SQLite::Statement query(*impl_->db,
                            "SELECT sequence FROM records WHERE kind = 'unit' AND first_index <= ? "
                            "ORDER BY first_index DESC LIMIT 1");
    query.bind(1, static_cast<std::int64_t>(first_index));
    return query.executeStep() ? query.getColumn(0).getInt64() : 1;
  });
  std::vector<UnitRecord> units;
  if (limit == 0) return units;
  for_each(sequence, [&](const LinkedRecord& linked) {
    if (const auto* unit = std::get_if<UnitRecord>(&linked.record)) {
      if (unit->data.first_index + unit->data.count() > first_index) units.push_back(*unit);
    }
    return units.size() < limit;
  });
  return units;
}

std::uint32_t Store::add_model(const ModelRow& row, const std::vector<std::uint32_t>& entries) {
  return impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    SQLite::Statement insert(*impl_->db, std::string("INSERT INTO models(sha256, size, training_step, ess, origin, "
                                                     "verified, published_at) VALUES(?, ?, ?, ?, ?, ?, ") +
                                             kNow + ")");
    bind_blob(insert, 1, row.sha256);
    insert.bind(2, static_cast<std::int64_t>(row.size));
    insert.bind(3, row.training_step);
    if (std::isnan(row.ess)) {
      insert.bind(4);
    } else {
      insert.bind(4, row.ess);
    }
    insert.bind(5, row.origin);
    insert.bind(6, row.verified ? 1 : 0);
    insert.exec();
    const auto version = static_cast<std::uint32_t>(impl_->db->getLastInsertRowid());
    impl_->insert_scheduled(entries, version);
    transaction.commit();
    return version;
  });
}

void Store::fulfil(const std::vector<std::uint32_t>& entries, std::uint32_t version) {
  impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    impl_->insert_scheduled(entries, version);
    transaction.commit();
  });
}

void Store::unfulfil(std::uint32_t entry) {
  impl_->guard([&] {
    SQLite::Statement remove(*impl_->db, "DELETE FROM scheduled WHERE entry = ?");
    remove.bind(1, static_cast<std::int64_t>(entry));
    remove.exec();
  });
}

void Store::mark_verified(std::uint32_t version) {
  impl_->guard([&] {
    SQLite::Statement update(*impl_->db, "UPDATE models SET verified = 1 WHERE version = ?");
    update.bind(1, static_cast<std::int64_t>(version));
    update.exec();
  });
}

std::vector<ModelRow> Store::models() const {
  return impl_->guard([&] {
    std::vector<ModelRow> rows;
    SQLite::Statement query(*impl_->db,
                            "SELECT version, sha256, size, training_step, ess, origin, verified FROM models "
                            "ORDER BY version");
    while (query.executeStep()) {
      ModelRow row;
      row.version = static_cast<std::uint32_t>(query.getColumn(0).getInt64());
      row.sha256 = digest_of(query.getColumn(1), "Version " + std::to_string(row.version));
      row.size = static_cast<std::uint64_t>(query.getColumn(2).getInt64());
      row.training_step = query.getColumn(3).getInt64();
      row.ess = query.getColumn(4).isNull() ? std::nan("") : query.getColumn(4).getDouble();
      row.origin = query.getColumn(5).getString();
      row.verified = query.getColumn(6).getInt() != 0;
      rows.push_back(row);
    }
    return rows;
  });
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> Store::scheduled() const {
  return impl_->guard([&] {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> rows;
    SQLite::Statement query(*impl_->db, "SELECT entry, version FROM scheduled ORDER BY entry");
    while (query.executeStep()) {
      rows.emplace_back(static_cast<std::uint32_t>(query.getColumn(0).getInt64()),
                        static_cast<std::uint32_t>(query.getColumn(1).getInt64()));
    }
    return rows;
  });
}

void Store::add_switch(const SwitchRecord& row) {
  impl_->guard([&] {
    SQLite::Statement insert(*impl_->db,
                             "INSERT INTO switches(from_index, version, sha256, by_clock) VALUES(?, ?, ?, ?)");
    insert.bind(1, static_cast<std::int64_t>(row.from));
    insert.bind(2, static_cast<std::int64_t>(row.version));
    bind_blob(insert, 3, row.checkpoint);
    insert.bind(4, row.by_clock ? 1 : 0);
    insert.exec();
  });
}

std::vector<SwitchRecord> Store::switches() const {
  return impl_->guard([&] {
    std::vector<SwitchRecord> rows;
    SQLite::Statement query(*impl_->db,
                            "SELECT from_index, version, sha256, by_clock FROM switches ORDER BY from_index");
    while (query.executeStep()) {
      rows.push_back({static_cast<std::uint64_t>(query.getColumn(0).getInt64()),
                      static_cast<std::uint32_t>(query.getColumn(1).getInt64()),
                      digest_of(query.getColumn(2), "A switch"), query.getColumn(3).getInt() != 0});
    }
    return rows;
  });
}

void Store::add_event(const std::string& kind, const std::string& text) {
  impl_->guard([&] {
    SQLite::Statement insert(*impl_->db, std::string("INSERT INTO events(at, kind, text) VALUES(") + kNow + ", ?, ?)");
    insert.bind(1, kind);
    insert.bind(2, text);
    insert.exec();
  });
}

std::vector<Store::Event> Store::events() const {
  return impl_->guard([&] {
    std::vector<Event> events;
    SQLite::Statement query(*impl_->db, "SELECT at, kind, text FROM events ORDER BY sequence");
    while (query.executeStep()) {
      events.push_back(
          {query.getColumn(0).getString(), query.getColumn(1).getString(), query.getColumn(2).getString()});
    }
    return events;
  });
}

namespace {

// The row that the query is at.
TrainingPoint point_at(SQLite::Statement& query) {
  TrainingPoint point;
  assign_numbers(point, [&]<class Number>(const std::string& name, Number& value) {
    const SQLite::Column column = query.getColumn(name.c_str());
    if constexpr (std::is_same_v<Number, double>) {
      value = column.isNull() ? std::nan("") : column.getDouble();
    } else {
      value = column.getInt64();
    }
  });
  return point;
}

}  // namespace

void Store::add_training(const std::string& training, const std::vector<TrainingPoint>& points) {
  if (points.empty()) return;
  std::string names, places;
  for (const std::string& name : number_names(*TrainingPoint::descriptor())) {
    names += (names.empty() ? "" : ", ") + name;
    places += places.empty() ? "?" : ", ?";
  }
  impl_->guard([&] {
    SQLite::Transaction transaction(*impl_->db);
    SQLite::Statement last(*impl_->db, "SELECT value FROM meta WHERE key = 'training'");
    if (!last.executeStep() || last.getColumn(0).getString() != training) {
      impl_->db->exec("DELETE FROM training");
      SQLite::Statement name(*impl_->db, "INSERT OR REPLACE INTO meta(key, value) VALUES('training', ?)");
      name.bind(1, training);
      name.exec();
    }
    SQLite::Statement insert(*impl_->db, "INSERT OR REPLACE INTO training(" + names + ") VALUES(" + places + ")");
    for (const TrainingPoint& point : points) {
      insert.reset();
      int column = 0;
      visit_numbers(point, [&](const std::string&, const auto& value) {
        ++column;
        if (value != value) {
          insert.bind(column);  // NaN is NULL
        } else {
          insert.bind(column, value);
        }
      });
      insert.exec();
    }
    transaction.commit();
  });
}

std::vector<TrainingPoint> Store::training(std::int64_t after_step, std::size_t limit) const {
  return impl_->guard([&] {
    SQLite::Statement query(*impl_->db, "SELECT * FROM training WHERE step > ? ORDER BY step LIMIT ?");
    query.bind(1, after_step);
    query.bind(2, static_cast<std::int64_t>(limit));
    std::vector<TrainingPoint> points;
    while (query.executeStep()) points.push_back(point_at(query));
    return points;
  });
}

std::optional<TrainingPoint> Store::last_training(Points points) const {
  const std::string which = points == Points::kEvaluated ? "WHERE ess IS NOT NULL " : "";
  return impl_->guard([&]() -> std::optional<TrainingPoint> {
    SQLite::Statement query(*impl_->db, "SELECT * FROM training " + which + "ORDER BY step DESC LIMIT 1");
    if (!query.executeStep()) return {};
    return point_at(query);
  });
}

}  // namespace flowloom
