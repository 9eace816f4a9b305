// Checks a log from itself alone: every link, every accept decision, the order of units, switches, reweighs and
// rewinds; and that the tables of switches and models agree with it. And the files beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
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
  std::optional<std::int64_t> remembered{};  // the record whose link this is (0: the log's beginning)
};

// Stops at the first fault. Uses `threads` (0: as many as there are cores). `progress` is told the proposals checked so
// far, now and then. A log without the link `remembered`, which somebody noted as its head, is faulty: it was cut
// before there, or is another one, which by itself no log can show.
VerifyReport verify_log(const Store& store, const RunSpec& run, const std::function<void(std::uint64_t)>& progress = {},
                        unsigned threads = 0, const std::optional<Sha256>& remembered = {});

// The sentence about the first version of the registry whose file, `file_of(version)`, is missing or not what was
// published; "" if all are there.
std::string damaged_model(const Store& store, const std::function<std::filesystem::path(std::uint32_t)>& file_of);

}  // namespace flowloom
