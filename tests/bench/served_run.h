// A run with an untrained flow, served by a coordinator in this process on a free port of 127.0.0.1.
#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "bench_run.h"
#include "coordinator/brain.h"
#include "coordinator/opening.h"
#include "coordinator/services.h"

namespace flowloom {

class ServedRun : private BenchRun {
 public:
  ServedRun(const std::string& name, const std::string& sections, bool serving) : BenchRun(name, sections, serving) {
    spdlog::set_level(spdlog::level::off);
    brain_ = std::make_unique<Brain>(open_run(directory(), run_file(), {}), directory());
    services_ = std::make_unique<Services>(*brain_, "127.0.0.1:0", directory().token());
  }

  using BenchRun::directory;
  using BenchRun::run;
  const std::string& address() const { return services_->address(); }
  // Proposals that are durable. Any thread.
  std::uint64_t frontier() const { return brain_->durable_frontier(); }

 private:
  std::unique_ptr<Brain> brain_;
  std::unique_ptr<Services> services_;
};

}  // namespace flowloom
