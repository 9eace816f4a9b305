// A real store (SQLite) on a disk whose power goes out in the middle of a write, in one process.
//
// The disk promises what tests/faults/power_cut.py's does: bytes are there once their file was synchronised; of all
// that was written since, any part may be: nothing, the first ones, any 512-byte sectors in any order, or everything,
// in each file another one. Names come and go at once: an empty journal is as good as none, and the store deletes none.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "chain/store.h"
#include "coordinator_world.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {

// While it lives, whatever SQLite opens lies on it. Nothing is synchronised in fact, so it is fast.
class TornDisk {
 public:
  TornDisk() : base_(sqlite3_vfs_find(nullptr)), vfs_(*base_) {
    vfs_.zName = name_.c_str();
    vfs_.szOsFile += static_cast<int>(sizeof(Handle));
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~TornDisk() { sqlite3_vfs_unregister(&vfs_); }
  TornDisk(const TornDisk&) = delete;
  TornDisk& operator=(const TornDisk&) = delete;

  // The power goes out after so many more writes, truncations and synchronisations. What is done then is in vain, and
  // nobody notices.
  void fail_after(std::size_t changes) { left_ = changes; }
  std::size_t changes() const { return changes_; }  // so far

  // The power comes back: the files hold what was left of them. None is open. Returns whether one was torn: it holds
  // neither what was durable nor all that was written.
  bool lose(std::mt19937_64& random) {
    bool torn = false;
    for (const auto& [path, file] : files_) {
      const std::string left = file.after(random);
      torn = torn || (left != file.durable && left != applied(file.durable, file.pending));
      std::ofstream(path, std::ios::binary | std::ios::trunc) << left;
    }
    files_.clear();
    left_ = kForever;
    return torn;
  }

 private:
  static constexpr std::size_t kForever = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t kSector = 512;

  struct Change {
    std::size_t offset = 0;
    std::optional<std::string> bytes{};  // nothing: `offset` is the file's new length
  };
  struct File {
    std::string durable;
    std::vector<Change> pending{};  // since it was synchronised

    std::string after(std::mt19937_64& random) const {
      std::vector<Change> changes;
      const auto how = random() % 4;
      if (how == 1 && !pending.empty()) {
        const auto count = static_cast<std::ptrdiff_t>(1 + random() % pending.size());
        changes.assign(pending.begin(), pending.begin() + count);
        if (auto& bytes = changes.back().bytes) bytes->resize(random() % (bytes->size() + 1));
      } else if (how == 2) {
        for (const Change& change : pending) add_sectors(changes, change, random);
        const bool cut = std::ranges::any_of(changes, [](const Change& change) { return !change.bytes; });
        if (!cut) std::ranges::shuffle(changes, random);
      } else if (how == 3) {
        changes = pending;
      }
      return applied(durable, changes);
    }
  };
  struct Handle {  // SQLite's; behind it lies the default one's
    sqlite3_file file;
    TornDisk* disk;
    File* bytes;
  };

  // Each with an even chance.
  static void add_sectors(std::vector<Change>& changes, const Change& change, std::mt19937_64& random) {
    const std::size_t size = change.bytes ? change.bytes->size() : 0;
    if (!change.bytes && random() % 2 == 0) changes.push_back(change);
    for (std::size_t at = 0; at < size;) {
      const std::size_t count = std::min(kSector - (change.offset + at) % kSector, size - at);
      if (random() % 2 == 0) changes.push_back({change.offset + at, change.bytes->substr(at, count)});
      at += count;
    }
  }
  static std::string applied(std::string bytes, const std::vector<Change>& changes) {
    for (const Change& change : changes) {
      const std::size_t end = change.offset + (change.bytes ? change.bytes->size() : 0);
      if (!change.bytes || bytes.size() < end) bytes.resize(end);
      if (change.bytes) std::ranges::copy(*change.bytes, bytes.begin() + static_cast<std::ptrdiff_t>(change.offset));
    }
    return bytes;
  }

  // Whether there still is power.
  bool works() {
    ++changes_;
    if (left_ == 0) return false;
    if (left_ != kForever) --left_;
    return true;
  }

  static Handle* of(sqlite3_file* file) { return reinterpret_cast<Handle*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(of(file) + 1); }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    TornDisk& disk = *static_cast<TornDisk*>(vfs->pAppData);
    if (!name) return SQLITE_CANTOPEN;  // a temporary file, which the store has none of
    file->pMethods = nullptr;
    const int code = disk.base_->xOpen(disk.base_, name, real(file), flags, out);
    if (code != SQLITE_OK) return code;
    if (!disk.files_.contains(name)) disk.files_[name].durable = read_file(name);
    of(file)->disk = &disk;
    of(file)->bytes = &disk.files_[name];
    file->pMethods = &kMethods;
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int) {
    TornDisk& disk = *static_cast<TornDisk*>(vfs->pAppData);
    if (disk.works()) disk.files_.erase(name);
    return disk.base_->xDelete(disk.base_, name, 0);
  }
  static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    const std::string_view written(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
    if (of(file)->disk->works())
      of(file)->bytes->pending.push_back({static_cast<std::size_t>(offset), std::string(written)});
    return real(file)->pMethods->xWrite(real(file), bytes, count, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (of(file)->disk->works()) of(file)->bytes->pending.push_back({static_cast<std::size_t>(size)});
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  static int sync(sqlite3_file* file, int) {
    File& bytes = *of(file)->bytes;
    if (of(file)->disk->works()) {
      bytes.durable = applied(std::move(bytes.durable), bytes.pending);
      bytes.pending.clear();
    }
    return SQLITE_OK;
  }

  // The rest is the default one's.
  static constexpr sqlite3_io_methods kMethods{
      .iVersion = 1,
      .xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
      .xRead = [](sqlite3_file* f, void* to, int n,
                  sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), to, n, at); },
      .xWrite = write,
      .xTruncate = truncate,
      .xSync = sync,
      .xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
      .xLock = [](sqlite3_file* f, int lock) { return real(f)->pMethods->xLock(real(f), lock); },
      .xUnlock = [](sqlite3_file* f, int lock) { return real(f)->pMethods->xUnlock(real(f), lock); },
      .xCheckReservedLock = [](sqlite3_file* f,
                               int* held) { return real(f)->pMethods->xCheckReservedLock(real(f), held); },
      .xFileControl = [](sqlite3_file* f, int what,
                         void* value) { return real(f)->pMethods->xFileControl(real(f), what, value); },
      .xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
      .xDeviceCharacteristics = [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
      .xShmMap = nullptr,
      .xShmLock = nullptr,
      .xShmBarrier = nullptr,
      .xShmUnmap = nullptr,
      .xFetch = nullptr,
      .xUnfetch = nullptr};

  static inline int made_ = 0;
  std::string name_ = "torn " + std::to_string(++made_);
  sqlite3_vfs* base_;
  sqlite3_vfs vfs_;
  std::map<std::string, File> files_;  // by path
  std::size_t left_ = kForever, changes_ = 0;
};

// The store of a schedule, beside its MemoryLog.
class TornStore {
 public:
  TornStore(const RunSpec& run, std::uint64_t seed)
      : random_(seed), store_(Store::create(directory_ / "chain.sqlite", run, "0123456789abcdef0123456789abcdef")) {}

  Store& store() { return *store_; }

  // The power goes out, in the middle of this write if there is one, perhaps again while the store is opened. It is
  // open again then.
  void lose_power(const Write* write) {
    disk_.fail_after(random_() % (usual_ + 2));
    const std::size_t before = disk_.changes();
    if (write) store_->write(*write);
    if (write) usual_ = disk_.changes() - before;
    store_.reset();
    torn_ += disk_.lose(random_);
    while (random_() % 3 == 0) {
      disk_.fail_after(random_() % 8);
      Store::open(directory_ / "chain.sqlite", Store::Mode::kReadWrite);
      disk_.lose(random_);
    }
    store_.emplace(Store::open(directory_ / "chain.sqlite", Store::Mode::kReadWrite));
  }
  std::uint64_t torn() const { return torn_; }  // how often it was left with torn files

  // What it holds, as `contents_of` a MemoryLog.
  std::string contents() const {
    std::vector<UnitRecord> units;
    store_->for_each(1, [&](const LinkedRecord& linked) {
      if (const auto* unit = std::get_if<UnitRecord>(&linked.record)) units.push_back(*unit);
      return true;
    });
    const auto snapshot = store_->snapshot();
    return text_of(store_->head(), units, store_->switches(), store_->models(), store_->workers(),
                   store_->pinned_build(), snapshot);
  }
  static std::string contents_of(const MemoryLog& log) {
    std::vector<UnitRecord> units;
    for (const Record& record : log.records) {
      if (const auto* unit = std::get_if<UnitRecord>(&record)) units.push_back(*unit);
    }
    return text_of(log.head(), units, log.switches, log.models, log.workers, log.pinned, log.snapshot);
  }

 private:
  static std::string text_of(const Sha256& head, const std::vector<UnitRecord>& units,
                             const std::vector<SwitchRecord>& switches, const std::vector<ModelRow>& models,
                             std::vector<WorkerRow> workers, const std::string& build,
                             const std::optional<Snapshot>& snapshot) {
    std::string text = "head " + to_hex(head) + ", build '" + build + "', drawn by";
    for (const UnitRecord& unit : units) text += " " + std::to_string(unit.worker) + "+" + std::to_string(unit.second);
    text += ", switches";
    for (const SwitchRecord& row : switches) text += " " + std::to_string(row.from) + ":" + std::to_string(row.version);
    text += ", models";
    for (const ModelRow& row : models) text += " " + row.origin + (row.verified ? " verified" : "");
    text += ", workers";
    std::ranges::sort(workers, {}, &WorkerRow::number);
    for (const WorkerRow& row : workers) text += " " + std::to_string(row.number) + " " + row.name + row.quarantined;
    return text + ", snapshot " +
           (snapshot ? std::to_string(snapshot->sequence) + to_hex(sha256(snapshot->state)) : "none");
  }

  std::mt19937_64 random_;
  TemporaryDirectory directory_;
  TornDisk disk_;
  std::optional<Store> store_;
  std::size_t usual_ = 20;  // changes of the files with one write
  std::uint64_t torn_ = 0;
};

}  // namespace flowloom
