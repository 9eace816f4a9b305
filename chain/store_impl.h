// The parts of the store share this: the open database, its errors as sentences, its columns as values. No one else's.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "chain/store.h"
#include "spec/error.h"

namespace flowloom {

inline constexpr char kNow[] = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

// Views live until the statement's next step.
std::string_view text_of(const SQLite::Column& column);
std::string_view blob_of(const SQLite::Column& column);
Sha256 digest_of(const SQLite::Column& column, const std::string& what);
inline std::uint64_t unsigned_of(const SQLite::Column& column) { return static_cast<std::uint64_t>(column.getInt64()); }

// Not copied: the bytes must live until the statement has run.
void bind_blob(SQLite::Statement& statement, int position, std::string_view bytes);
// Copied.
void bind_blob(SQLite::Statement& statement, int position, const Sha256& digest);

[[noreturn]] void rethrow(const SQLite::Exception& error, const std::string& file);

// Keeps a growing file from filling the machine's page cache: its older pages are on disk and rarely read again, and
// the next ones are written faster to memory that was just let go.
class OldPages {
 public:
  OldPages() = default;
  OldPages(const OldPages&) = delete;
  OldPages& operator=(const OldPages&) = delete;
  ~OldPages();

  // To be called when all of the file is on disk. Advice: what the system does not take does no harm.
  void release(const std::string& file);

 private:
  int descriptor_ = -1;  // closing it lets go of SQLite's locks, too: only after the database is closed
  std::int64_t released_ = 0;
};

struct Store::Impl {
  std::string file;
  OldPages old_pages;  // before the database
  std::unique_ptr<SQLite::Database> db;
  Sha256 head{};
  std::int64_t size = 0;
  std::vector<Rewind> rewinds;
  std::vector<std::pair<std::int64_t, std::int64_t>> abandoned;  // by rewinds: [first, last] record, in order

  template <class Work>
  auto guard(Work work) const {
    try {
      return work();
    } catch (const SQLite::Exception& error) {
      rethrow(error, file);
    }
  }

  // What `read` makes of an entry of the table meta. Throws `kCorrupt` if there is none.
  template <class Read>
  auto meta(const char* key, Read read) const {
    return guard([&] {
      SQLite::Statement query(*db, "SELECT value FROM meta WHERE key = ?");
      query.bind(1, key);
      if (!query.executeStep()) throw Error(ErrorCode::kCorrupt, "'" + file + "' lacks the entry '" + key + "'.");
      return read(query.getColumn(0));
    });
  }
  std::string meta_text(const char* key) const {
    return meta(key, [](const SQLite::Column& value) { return value.getString(); });
  }
  Sha256 identity() const {
    return meta("identity", [&](const auto& value) { return digest_of(value, "The identity in '" + file + "'"); });
  }

  std::string record_name(std::int64_t sequence) const {
    return "Record " + std::to_string(sequence) + " of '" + file + "'";
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

  void load_rewinds();
  bool left_behind(std::int64_t sequence) const {
    const auto range = std::ranges::lower_bound(abandoned, sequence, {}, [](const auto& r) { return r.second; });
    return range != abandoned.end() && range->first <= sequence;
  }
  void load_head() {
    SQLite::Statement query(*db, "SELECT sequence, link FROM records ORDER BY sequence DESC LIMIT 1");
    if (query.executeStep()) {
      size = query.getColumn(0).getInt64();
      head = digest_of(query.getColumn(1), record_name(size));
    } else {
      head = identity();
    }
  }
};

}  // namespace flowloom
