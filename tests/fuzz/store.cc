#include "chain/store.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <limits>

#include "chain/analysis.h"
#include "chain/verify.h"
#include "input.h"
#include "promises.h"
#include "small_store.h"
#include "spec/files.h"
#include "targets.h"

namespace flowloom::fuzz {
namespace {

const SmallRun& original() {
  static const SmallRun kRun;
  return kRun;
}

// The files of a store: closed in order, and as a killed process leaves it.
struct Files {
  std::string closed, killed, killed_log;
};

const Files& original_files() {
  static const Files kFiles = [] {
    const TemporaryDirectory directory;
    const std::filesystem::path file = directory / "chain.sqlite";
    Files files;
    {
      const Store store = original().store(file);
      files.killed = read_file(file);
      files.killed_log = read_file(file.string() + "-journal");
    }
    files.closed = read_file(file);
    return files;
  }();
  return kFiles;
}

// The place that a damaged store is written to, over and over.
const std::filesystem::path& place() {
  static const TemporaryDirectory kDirectory;
  static const std::filesystem::path kFile = kDirectory / "chain.sqlite";
  return kFile;
}

void write(const std::string& file, const std::string& journal) {
  std::filesystem::remove(place().string() + "-journal");
  write_file_atomically(place(), file);
  if (!journal.empty()) write_file_atomically(place().string() + "-journal", journal);
}

struct Seen {
  bool good = false;
  std::vector<Record> records;
};

// Reads the store as every reader does; a log that is found good must be whole.
Seen read() {
  const auto store = accepted([] { return Store::open(place(), Store::Mode::kReadOnly); });
  Seen seen;
  if (!store) return seen;
  const auto report = accepted([&] { return verify_log(*store, original().run); });
  accepted([&] {
    ChainAnalysis analysis(make_theory(original().run.theory));
    for (const UnitRecord& unit : store->units(0, 1000)) analysis.add(unit);
    return analysis.result(0).proposals;
  });
  accepted([&] { return store->frontier() + store->events().size() + store->fulfilled().size(); });
  accepted([&] { return store->run_id() + store->pinned_build() + std::to_string(store->workers().size()); });
  accepted([&] {
    LogState state(original().run);
    const auto snapshot = store->snapshot();
    return snapshot && state.load(snapshot->state);
  });
  accepted([&] { return store->training(-1, 1000).size() + store->last_training(Store::Points::kAll).has_value(); });
  if (!report || !report->good) {
    require(!report || !report->sentence.empty(), "What is wrong with a log is said.");
    return seen;
  }
  seen.good = true;
  Sha256 link = original().run.identity();
  store->for_each_row(1, [&](std::int64_t, const Row& row, std::string_view stored) {
    seen.records.push_back(from_row(row, "A record"));
    link = next_link(link, row);
    require(stored == std::string_view(reinterpret_cast<const char*>(link.data()), link.size()),
            "Every link of a good log follows from its record and the one before.");
    return true;
  });
  Chain chain(original().run.noise_key());
  store->for_each(1, [&](const LinkedRecord& linked) {
    if (const auto* unit = std::get_if<UnitRecord>(&linked.record)) {
      require(!chain.follow(unit->data, unit->accepted), "Every decision of a good log follows from its numbers.");
    }
    if (const auto* reweigh = std::get_if<ReweighRecord>(&linked.record)) chain.reweigh(reweigh->log_q);
    return true;
  });
  require(report->head == link && store->head() == link, "The head of a good log is its last link.");
  require(report->proposals == chain.frontier(), "A good log's proposals are counted.");
  return seen;
}

void require_prefix(const std::vector<Record>& records) {
  const std::vector<Record>& whole = original().log.records;
  require(records.size() <= whole.size(), "No record comes from nowhere.");
  for (std::size_t i = 0; i < records.size(); ++i) {
    require(canonical_bytes(records[i]) == canonical_bytes(whole[i]),
            "A good log's records are those that were written.");
  }
}

// ------------------------------------------------------------------------------------------------------- edits

constexpr const char* kTables[] = {"records",  "meta",    "models",  "switches", "scheduled",
                                   "training", "columns", "workers", "snapshots"};

std::vector<std::string> columns_of(SQLite::Database& database, const std::string& table) {
  std::vector<std::string> names;
  SQLite::Statement query(database, "SELECT name FROM pragma_table_info('" + table + "')");
  while (query.executeStep()) names.push_back(query.getColumn(0).getString());
  return names;
}

// One edit of a row: its table, place, column, what becomes of it.
void edit(SQLite::Database& database, Input& input) {
  const std::string table = kTables[input.below(std::size(kTables))];
  const std::size_t row = input.number();
  const std::vector<std::string> columns = columns_of(database, table);
  const std::string& column = columns[input.below(columns.size())];
  const std::string where = " WHERE " + columns.front() + " = (SELECT " + columns.front() + " FROM " + table +
                            " ORDER BY 1 LIMIT 1 OFFSET " + std::to_string(row) + ")";
  const auto set = [&](auto value) {
    SQLite::Statement update(database, "UPDATE " + table + " SET " + column + " = ?" + where);
    if constexpr (std::is_same_v<decltype(value), std::string>) {
      update.bind(1, static_cast<const void*>(value.data()), static_cast<int>(value.size()));
    } else {
      update.bind(1, value);
    }
    update.exec();
  };
  switch (input.below(7)) {
    case 0:
      return set(input.number<std::int64_t>());
    case 1:
      return set(static_cast<std::int64_t>(input.number<std::int8_t>()));
    case 2:
      return set(input.piece());  // a BLOB
    case 3:
      return set(input.piece().c_str());  // a TEXT
    case 4:
      database.exec("DELETE FROM " + table + where);
      return;
    case 5: {  // a copy of the row at another place
      std::string values;
      for (std::size_t i = 1; i < columns.size(); ++i) values += ", " + columns[i];
      database.exec("INSERT INTO " + table + " SELECT " + std::to_string(input.number()) + values + " FROM " + table +
                    where);
      return;
    }
    case 6: {  // one byte of a BLOB
      SQLite::Statement query(database, "SELECT " + column + " FROM " + table + where);
      if (!query.executeStep()) return;
      std::string bytes = query.getColumn(0).getString();
      query.reset();
      if (bytes.empty()) return;
      bytes[input.number<std::uint16_t>() % bytes.size()] = static_cast<char>(input.number());
      return set(bytes);
    }
  }
}

// Gives every record the link that follows from it, as somebody could who forges a log.
void relink() {
  std::vector<std::pair<std::int64_t, Sha256>> links;
  accepted([&] {
    const Store store = Store::open(place(), Store::Mode::kReadOnly);
    Sha256 link = original().run.identity();
    store.for_each_row(1, [&](std::int64_t sequence, const Row& row, std::string_view) {
      links.emplace_back(sequence, link = next_link(link, row));
      return true;
    });
    return true;
  });
  SQLite::Database database(place().string(), SQLite::OPEN_READWRITE);
  for (const auto& [sequence, link] : links) {
    SQLite::Statement update(database, "UPDATE records SET link = ? WHERE sequence = ?");
    update.bind(1, link.data(), static_cast<int>(link.size()));
    update.bind(2, sequence);
    update.exec();
  }
}

}  // namespace

void store_rows(Bytes bytes) {
  Input input(bytes);
  const bool forged = input.number() % 2 != 0;
  write(original_files().closed, "");
  {
    SQLite::Database database(place().string(), SQLite::OPEN_READWRITE);
    for (int edits = 0; !input.empty() && edits < 32; ++edits) {
      try {
        edit(database, input);
      } catch (const SQLite::Exception&) {  // a constraint of the table
      }
    }
  }
  if (forged) relink();
  const Seen seen = read();
  if (seen.good && !forged) require_prefix(seen.records);
}

void store_file(Bytes bytes) {
  Input input(bytes);
  const bool killed = input.number() % 2 != 0;
  std::string file = killed ? original_files().killed : original_files().closed;
  std::string log = killed ? original_files().killed_log : "";
  while (!input.empty()) {
    std::string& damaged = killed && input.number() % 2 != 0 ? log : file;
    const std::size_t at = input.number<std::uint32_t>() % (damaged.size() + 1);
    const std::size_t count = input.number();
    if (count == 0) damaged.resize(at);
    for (std::size_t i = at; i < std::min(at + count, damaged.size()); ++i) {
      damaged[i] = static_cast<char>(input.number());
    }
  }
  write(file, log);
  const Seen seen = read();
  if (seen.good) require_prefix(seen.records);
}

}  // namespace flowloom::fuzz
