// What the coordinator's core needs around it in a test: a log in memory, a run file, and workers' numbers that are a
// function of (index, checkpoint), as a flow's are.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/core.h"
#include "flow/catalog.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {

// A run file with one line per scheduled switch; the conditions are only names here.
struct RunText {
  std::size_t unit = 4;
  std::uint64_t length = 96;
  std::size_t window = 5;
  double lease = 5;
  double audit = 0;
  std::vector<std::uint64_t> switches = {0};  // empty: placement "asap"
  std::string until = "";                     // a TOML table
  std::int64_t seed = 1;
  int first_step = 0;  // of the conditions

  std::string text() const {
    std::string toml =
        "[run]\nname = \"test\"\nengine = \"lanes\"\nprecision = \"float64\"\nseed = " + std::to_string(seed) +
        "\nunit = " + std::to_string(unit) +
        "\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -0.5\nlambda = 0.5\n"
        "[flow]\nkind = \"affine-coupling\"\nlayers = 2\nhidden = [3]\n"
        "[chain]\nlength = " +
        std::to_string(length) + "\nwindow = " + std::to_string(window) + "\nlease = " + std::to_string(lease) +
        "\naudit = " + std::to_string(audit) + "\n";
    if (switches.empty()) toml += "placement = \"asap\"\n";
    if (!until.empty()) toml += "until = " + until + "\n";
    if (!switches.empty()) toml += "versions = [";
    for (std::size_t i = 0; i < switches.size(); ++i) {
      toml += (i ? ", " : "") + ("{ from = " + std::to_string(switches[i])) +
              ", when = { step = " + std::to_string(first_step + static_cast<int>(i)) + " } }";
    }
    return toml + (switches.empty() ? "" : "]\n");
  }
  RunSpec run() const { return load_run_text(text(), "test.toml"); }
};

// The store as the core sees it. What it holds survives the core, like a disk. A write is there whole or not at all:
// that is SQLite's promise, which torn_store.h tests in the schedules, and tests/faults/power_cut.py with whole
// programs, by tearing the bytes of a real store.
class MemoryLog {
 public:
  explicit MemoryLog(const RunSpec& run)
      : identity_(run.identity()), head_(identity_), key_(run.noise_key()), unit_(run.unit) {}

  // Makes the write that is due, if there is one, and tells the core; false if there is none.
  bool work_for(Core& core) {
    const auto write = core.take_write();
    if (!write) return false;
    if (fails && fails(*write)) {
      ++failures;
      core.write_failed("The store cannot be written (no room).");
    } else {
      keep(*write);
      core.written(head_);
    }
    return true;
  }

  // All of it is on the disk.
  void keep(const Write& write) {
    if (write.build) pinned = *write.build;
    for (const std::uint32_t version : write.verified) models.at(version - 1).verified = true;
    for (const SwitchRecord& row : write.switches) switches.push_back(row);
    for (const WorkerRow& row : write.workers) workers.push_back(row);
    for (const auto& [name, why] : write.quarantined) {
      for (WorkerRow& row : workers) {
        if (row.name == name) row.quarantined = why;
      }
    }
    if (write.snapshot) snapshot = {static_cast<std::int64_t>(chain().size()), *write.snapshot};
    for (const Record& record : write.records) {
      head_ = next_link(head_, record);
      if (const auto* unit = std::get_if<UnitRecord>(&record)) frontier_ = unit->data.first_index + unit_;
      if (const auto* rewind = std::get_if<RewindRecord>(&record)) frontier_ = rewind->to, snapshot.reset();
      records.push_back(record);
    }
    for (const auto& [first_index, worker] : write.confirmed) {
      for (Record& record : records) {
        auto* unit = std::get_if<UnitRecord>(&record);
        if (unit && unit->data.first_index == first_index) unit->second = worker;
      }
    }
  }

  // Tells the core what it wants to read.
  void read_for(Core& core) const {
    const auto query = core.take_query();
    if (!query) return;
    const auto quarantined = quarantined_numbers(workers);
    std::vector<UnitRecord> units;
    for (const Record& record : chain()) {
      const auto* unit = std::get_if<UnitRecord>(&record);
      if (!unit || unit->data.first_index < query->first_index || units.size() == query->limit) continue;
      const UnitPlace place{unit->data.first_index, unit->worker, unit->second};
      if (query->wants(key_, unit_, place, quarantined)) units.push_back(*unit);
    }
    core.read(query->number, std::move(units));
  }

  // The records that no rewind left behind.
  std::vector<Record> chain() const {
    std::vector<Record> kept;
    for (const Record& record : records) {
      if (const auto* rewind = std::get_if<RewindRecord>(&record)) {
        const auto below = std::find_if(kept.rbegin(), kept.rend(), [&](const Record& earlier) {
          const auto* unit = std::get_if<UnitRecord>(&earlier);
          return unit && unit->data.first_index < rewind->to;
        });
        std::vector<Record> events;
        std::copy_if(below.base(), kept.end(), std::back_inserter(events),
                     [](const Record& later) { return std::holds_alternative<EventRecord>(later); });
        kept.erase(below.base(), kept.end());
        kept.insert(kept.end(), events.begin(), events.end());
      }
      kept.push_back(record);
    }
    return kept;
  }

  Sha256 head() const { return head_; }
  std::uint64_t frontier() const { return frontier_; }
  const ModelRow& publish(const std::string& checkpoint, const std::vector<std::uint32_t>& entries) {
    models.push_back({static_cast<std::uint32_t>(models.size() + 1), sha256(checkpoint), checkpoint.size(), 0,
                      std::nan(""), checkpoint});
    for (const std::uint32_t entry : entries) fulfilled.emplace_back(entry, models.back().version);
    return models.back();
  }
  Recovered recovered() {
    return {"0123456789abcdef0123456789abcdef", ++epoch, pinned, models, fulfilled, switches, workers, head_};
  }

  // Nothing if no switch at or below `index` is durable.
  const SwitchRecord* serving(std::uint64_t index) const {
    const SwitchRecord* found = nullptr;
    for (const SwitchRecord& row : switches) {
      if (row.from <= index) found = &row;
    }
    return found;
  }

  std::vector<Record> records;
  std::vector<SwitchRecord> switches;
  std::vector<ModelRow> models;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> fulfilled;
  std::string pinned;
  std::uint64_t epoch = 0;
  std::vector<WorkerRow> workers;
  std::optional<Snapshot> snapshot;               // its sequence counts the chain's records
  std::function<bool(const Write& write)> fails;  // asked before each
  int failures = 0;

 private:
  Sha256 identity_, head_;
  std::uint64_t frontier_ = 0;
  NoiseKey key_;
  std::size_t unit_;
};

// A fresh core on what the log holds.
inline std::unique_ptr<Core> start_core(const RunSpec& run, MemoryLog& log) {
  auto core = std::make_unique<Core>(run, log.recovered());
  for (const Record& record : log.chain()) core->replay(record);
  return core;
}

// The same from the last snapshot on, with new ones every so many proposals.
inline std::unique_ptr<Core> start_core_from_snapshot(const RunSpec& run, MemoryLog& log,
                                                      std::uint64_t snapshot_every) {
  Recovered recovered = log.recovered();
  if (log.snapshot) {
    recovered.log.emplace(run);
    if (!recovered.log->load(log.snapshot->state)) return {};
    recovered.logged = log.snapshot->sequence;
  }
  const auto chain = log.chain();
  const auto first = chain.begin() + static_cast<std::ptrdiff_t>(recovered.logged);
  auto core = std::make_unique<Core>(run, std::move(recovered), snapshot_every);
  for (auto record = first; record != chain.end(); ++record) core->replay(*record);
  return core;
}

// Everything that the events so far lead to, on a disk that answers at once.
inline void settle(Core& core, MemoryLog& log, Time now) {
  core.turn(now);
  do {
    while (log.work_for(core)) core.turn(now);
    log.read_for(core);
    core.turn(now);
  } while (log.work_for(core));
}

// Numbers of (index, checkpoint). `salt` makes other ones; below `first_valid` all proposals are invalid.
struct Numbers {
  std::uint32_t salt = 0;
  std::uint64_t first_valid = 0;
  bool spoiled = true;  // some proposals are NaN, infinite or of weight zero

  static constexpr std::size_t kSums = 4;

  double uniform(const std::string& name, std::uint64_t index, std::uint32_t draw) const {
    return uniforms(NoiseKey::from(name + "/" + std::to_string(salt)), Purpose::kBase, index, draw)[0];
  }

  UnitData unit(std::uint64_t number, std::size_t size, const ModelRow& model) const {
    const double infinity = std::numeric_limits<double>::infinity();
    UnitData data{number * size, model.version, {}, {}, std::vector<double>(kSums * size)};
    const NoiseKey key = NoiseKey::from(model.origin + "/" + std::to_string(salt));
    for (std::size_t k = 0; k < size; ++k) {
      const std::uint64_t i = data.first_index + k;
      double z[6];
      fill_normal(key, Purpose::kBase, i, z);
      double log_p = -0.5 * z[0] * z[0], log_q = -0.5 * z[0] * z[0] + 0.4 * z[1];
      if (spoiled && i % 19 == 7) log_p = std::nan("1");
      if (spoiled && i % 23 == 5) log_p = -infinity;
      if (spoiled && i % 29 == 11) log_q = -infinity;
      if (i < first_valid) log_q = std::nan("");
      data.log_p.push_back(log_p);
      data.log_q.push_back(log_q);
      for (std::size_t s = 0; s < kSums; ++s) data.sums[s * size + k] = 3.0 + z[2 + s];
    }
    return data;
  }

  // log_q of a state, drawn with `drawn`, under another checkpoint.
  double reweighed(std::uint64_t index, double drawn, const ModelRow& model) const {
    return drawn + 0.5 * uniform("reweigh " + model.origin, index, 0);
  }

  flowloom::v1::WorkerMessage sample(std::uint64_t number, std::size_t size, const ModelRow& model) const {
    const UnitData data = unit(number, size, model);
    flowloom::v1::WorkerMessage message;
    auto* answer = message.mutable_sample();
    answer->set_unit(number);
    answer->set_version(model.version);
    answer->set_log_p(pack(data.log_p));
    answer->set_log_q(pack(data.log_q));
    answer->set_sums(pack(data.sums));
    return message;
  }

  flowloom::v1::WorkerMessage reweigh(const flowloom::v1::ReweighGrant& grant, const ModelRow& model) const {
    flowloom::v1::WorkerMessage message;
    auto* answer = message.mutable_reweigh();
    answer->set_index(grant.index());
    answer->set_version(grant.version());
    answer->set_log_q(reweighed(grant.index(), grant.log_q(), model));
    return message;
  }
};

// The records of the first `units` units of a chain with these switches, from their definition: one loop, no ledger, no
// workers.
inline std::vector<Record> reference_log(const RunSpec& run, const MemoryLog& log, const Numbers& numbers,
                                         std::uint64_t units) {
  Chain chain(run.noise_key());
  std::vector<Record> records;
  const SwitchRecord* serving = nullptr;
  for (std::uint64_t unit = 0; unit < units; ++unit) {
    const SwitchRecord* row = log.serving(unit * run.unit);
    const ModelRow& model = log.models.at(row->version - 1);
    if (row != serving) {
      records.push_back(*row);
      if (const auto& state = chain.current()) {
        const double log_q = numbers.reweighed(state->index, state->drawn_log_q, model);
        records.push_back(ReweighRecord{state->index, row->version, log_q});
        chain.reweigh(log_q);
      }
      serving = row;
    }
    UnitData data = numbers.unit(unit, run.unit, model);
    for (auto* values : {&data.log_p, &data.log_q, &data.sums}) canonicalize(*values);
    auto accepted = chain.advance(data);
    records.push_back(UnitRecord{std::move(data), std::move(accepted)});
  }
  return records;
}
inline std::vector<Record> reference_log(const RunSpec& run, const MemoryLog& log, const Numbers& numbers) {
  return reference_log(run, log, numbers, run.length_in_units());
}

inline Sha256 head_of(const RunSpec& run, const std::vector<Record>& records) {
  Sha256 head = run.identity();
  for (const Record& record : records) head = next_link(head, record);
  return head;
}

inline flowloom::v1::Hello hello(std::uint32_t credits = 2) {
  flowloom::v1::Hello message;
  message.set_name("worker");
  message.set_protocol("flowloom.v1");
  message.add_capabilities("sample");
  message.add_capabilities("reweigh");
  message.set_credits(credits);
  message.set_device("cpu");
  auto* engine = message.add_engines();
  engine->set_engine("lanes");
  engine->set_precision("float64");
  engine->set_revision(kNumericsRevision);
  engine->set_build("test build");
  return message;
}

inline flowloom::v1::WorkerMessage ready(std::uint32_t version) {
  flowloom::v1::WorkerMessage message;
  message.mutable_ready()->set_version(version);
  return message;
}

inline flowloom::v1::WorkerMessage failure(std::uint64_t unit, const std::string& sentence = "it broke") {
  flowloom::v1::WorkerMessage message;
  message.mutable_failure()->set_unit(unit);
  message.mutable_failure()->set_sentence(sentence);
  return message;
}

}  // namespace flowloom
