// A small real run to damage: two versions, a reweigh, an event, all tables filled.
#pragma once

#include <cmath>
#include <vector>

#include "chain/end.h"
#include "chain/log_state.h"
#include "chain/store.h"
#include "coordinator_world.h"
#include "temporary_directory.h"

namespace flowloom::fuzz {

struct SmallRun {
  RunSpec run = RunText{.unit = 4, .length = 24, .switches = {0, 12}}.run();
  MemoryLog log{run};

  SmallRun() {
    for (const std::uint32_t entry : {0u, 1u}) {
      const ModelRow model = log.publish("checkpoint " + std::to_string(entry), {entry});
      log.switches.push_back({run.chain.versions[entry].from, model.version, model.sha256});
      log.models.back().verified = true;
    }
    const auto records = reference_log(run, log, Numbers{.spoiled = false});
    log.keep({.records = records});
    log.keep({.records = {decision_event("train.batch: 64 -> 128", log.frontier())}});
    log.keep({.records = {RewindRecord{run.unit, "a worker was wrong"}}});
    log.keep({.records = {records.begin() + 2, records.end()}});  // all after the first switch and the first unit
  }

  // The same as a store.
  Store store(const std::filesystem::path& file) const {
    Store store = Store::create(file, run, "0123456789abcdef0123456789abcdef");
    for (const ModelRow& model : log.models) store.add_model(model, {model.version - 1});
    store.write({.workers = {{1, "a worker", "cpu"}}, .build = "a build", .switches = log.switches});
    LogState state(run);
    for (const Record& record : log.records) {
      Write write{.records = {record}};
      if (store.size() == 2) write.snapshot = state.save();
      store.write(write);
      state.add(record);
    }
    TrainingPoint point;
    point.set_step(10);
    store.add_training("training", {point});
    return store;
  }
};

}  // namespace flowloom::fuzz
