// Checks a log from itself alone: every link, every accept decision, the order of units, switches, reweighs and rewinds; and
// that the tables of switches and models agree with it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "chain/store.h"
#include "spec/run_spec.h"

namespace flowloom {

struct VerifyReport {
  bool good = true;
  std::string sentence;  // the first thing that is wrong, naming the record
  std::int64_t records = 0;
  std::uint64_t proposals = 0, accepted = 0, invalid = 0;  // of the chain
  std::uint64_t left_behind = 0;                           // proposals, by rewinds
  Sha256 head{};
};

// Stops at the first fault. Uses `threads` (0: as many as there are cores). `progress` is told the proposals checked so far,
// now and then.
VerifyReport verify_log(const Store& store, const RunSpec& run, const std::function<void(std::uint64_t)>& progress = {},
                        unsigned threads = 0);

}  // namespace flowloom
