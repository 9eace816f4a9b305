#include "chain/store.h"

#include <sqlite3.h>

#include "chain/store_impl.h"
#include "lattice/theories.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr int kApplicationId = 0x466c6f6d;  // "Flom"
constexpr int kFormat = 4;                  // user_version; docs/log-format.md

// A unit of 1024 proposals fills three pages and a row; smaller units share one.
constexpr int kPageBytes = 16384;

constexpr char kSchema[] = R"sql(
  CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE records(
    sequence INTEGER PRIMARY KEY,   -- 1, 2, 3, …
    kind TEXT NOT NULL,             -- unit, switch, reweigh, event, rewind
    first_index INTEGER NOT NULL,   -- unit: its first proposal; switch: from; reweigh: the state; event: the frontier;
                                    -- rewind: where the chain goes on
    version INTEGER NOT NULL,       -- 0 for an event or a rewind
    count INTEGER NOT NULL,         -- unit: proposals; else 0
    flags BLOB NOT NULL,            -- unit: accepted, one bit each; switch: one byte, who placed it
    data BLOB NOT NULL,             -- unit: float64 [log_p, log_q, sums…][proposal]; switch: SHA-256; reweigh: log_q
    link BLOB NOT NULL,             -- SHA-256(previous link, SHA-256(canonical bytes))
    worker INTEGER NOT NULL,        -- unit: who drew it (table workers); else 0
    second INTEGER NOT NULL);       -- unit: who drew the same numbers again; 0 for nobody
  CREATE INDEX units ON records(first_index, sequence, worker, second) WHERE kind = 'unit';
  CREATE INDEX rewinds ON records(sequence) WHERE kind = 'rewind';
  CREATE TABLE workers(
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, device TEXT NOT NULL, joined_at TEXT NOT NULL,
    quarantined TEXT NOT NULL DEFAULT '');  -- why nothing more is taken from this name
  CREATE TABLE snapshots(sequence INTEGER PRIMARY KEY, link BLOB NOT NULL, state BLOB NOT NULL, digest BLOB NOT NULL);
  CREATE TABLE columns(position INTEGER PRIMARY KEY, name TEXT NOT NULL, sentence TEXT NOT NULL);
  CREATE TABLE models(
    version INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, training_step INTEGER NOT NULL,
    ess REAL, origin TEXT NOT NULL, verified INTEGER NOT NULL, published_at TEXT NOT NULL,
    threshold REAL);                -- log_w of an outlier; NULL for none
  CREATE TABLE scheduled(entry INTEGER PRIMARY KEY, version INTEGER NOT NULL);
  CREATE TABLE switches(
    from_index INTEGER PRIMARY KEY, version INTEGER NOT NULL, sha256 BLOB NOT NULL, placement INTEGER NOT NULL);
  CREATE TABLE events(sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
  CREATE TABLE training(            -- columns: message TrainingPoint; NULL for NaN
    step INTEGER PRIMARY KEY, seconds REAL, core_seconds REAL, samples INTEGER, loss REAL, batch_ess REAL, ess REAL,
    ess_from_target REAL, gradient_norm REAL, learning_rate REAL, batch INTEGER, skipped INTEGER);
)sql";

}  // namespace

std::string_view text_of(const SQLite::Column& column) {
  const char* text = column.getText();
  return {text, static_cast<std::size_t>(column.getBytes())};
}

std::string_view blob_of(const SQLite::Column& column) {
  const auto* data = static_cast<const char*>(column.getBlob());
  return data ? std::string_view(data, static_cast<std::size_t>(column.getBytes())) : std::string_view();
}

void bind_blob(SQLite::Statement& statement, int position, std::string_view bytes) {
  statement.bindNoCopy(position, static_cast<const void*>(bytes.data()), static_cast<int>(bytes.size()));
}

void bind_blob(SQLite::Statement& statement, int position, const Sha256& digest) {
  statement.bind(position, digest.data(), static_cast<int>(digest.size()));
}

Sha256 digest_of(const SQLite::Column& column, const std::string& what) {
  const std::string_view bytes = blob_of(column);
  Sha256 digest;
  if (bytes.size() != digest.size()) throw Error(ErrorCode::kCorrupt, what + " does not hold a SHA-256.");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
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

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Store Store::create(const std::filesystem::path& file, const RunSpec& run, const std::string& run_id) {
  const auto exists_already = [&] {
    return Error(ErrorCode::kConflict, "'" + file.string() + "' exists already; it is never overwritten.");
  };
  if (std::filesystem::exists(file)) throw exists_already();
  // Filled under a name of its own, then linked: a creation that was cut short leaves no store behind, and of two at
  // once only one succeeds.
  const std::filesystem::path unfinished = file.string() + ".new-" + run_id;
  auto impl = std::make_unique<Impl>();
  impl->file = file.string();
  impl->guard([&] {
    impl->db = std::make_unique<SQLite::Database>(unfinished.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    impl->db->exec("PRAGMA page_size=" + std::to_string(kPageBytes) + "; PRAGMA synchronous=FULL;");
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
    // A read-only opener too must be able to roll back what a killed coordinator left behind.
    impl->db = std::make_unique<SQLite::Database>(file.string(), SQLite::OPEN_READWRITE, 200);
    impl->db->exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;");  // the lock is held from here on
    if (impl->db->execAndGet("PRAGMA application_id").getInt() != kApplicationId) {
      throw Error(ErrorCode::kCorrupt, "'" + file.string() + "' is an SQLite file, but not a Flowloom store.");
    }
    const int format = impl->db->execAndGet("PRAGMA user_version").getInt();
    if (format != kFormat) {
      throw Error(ErrorCode::kConflict, "'" + file.string() + "' has store format " + std::to_string(format) +
                                            "; this build reads format " + std::to_string(kFormat) +
                                            ": use the Flowloom that wrote it.");
    }
    // The log only grows, so a rollback journal holds next to nothing: what is appended is written once. (A write-ahead
    // log would be written and copied.)
    impl->db->exec("PRAGMA journal_mode=PERSIST; PRAGMA synchronous=FULL;");
    if (mode == Mode::kReadOnly) impl->db->exec("PRAGMA query_only=ON;");
    impl->load_head();
    impl->load_rewinds();
  });
  Store store(std::move(impl));
  if (sha256(store.identity_text()) != store.identity()) {
    throw Error(ErrorCode::kCorrupt, "'" + file.string() +
                                         "' is damaged: its identity is not the hash of its identity's "
                                         "text; restore it from a backup.");
  }
  return store;
}

std::string Store::run_id() const { return impl_->meta_text("run_id"); }
Sha256 Store::identity() const { return impl_->identity(); }
std::string Store::identity_text() const { return impl_->meta_text("identity_text"); }
std::string Store::pinned_build() const { return impl_->meta_text("pinned_build"); }

std::uint64_t Store::begin_epoch() {
  impl_->guard([&] { impl_->db->exec("UPDATE meta SET value = value + 1 WHERE key = 'epoch'"); });
  return impl_->meta("epoch", unsigned_of);
}

}  // namespace flowloom
