// Draws a sample of a chain's units again, through workers, and compares them with the log.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "client/connection.h"
#include "program/run_directory.h"

namespace flowloom {

struct RecomputeOptions {
  double share = 0;         // of all units, chosen by noise, and at least one
  std::uint32_t seed = 0;   // which ones; not 0
  std::size_t workers = 1;  // that are started here
  std::string device = "auto";
};

struct RecomputeReport {
  bool good = true;
  std::string sentence;     // what is wrong
  std::uint64_t units = 0;  // that were drawn again and compared
};

// `progress` is told how many units are done.
using RecomputeProgress = std::function<void(std::uint64_t units)>;

// With a coordinator and workers that are started for it, on a directory that nobody serves. The chain is not made
// longer.
RecomputeReport recompute_here(const RunDirectory& directory, const RecomputeOptions& options,
                               const RecomputeProgress& progress);

// With the workers of the coordinator at `where`, while the chain goes on; through losses of the connection as a Source
// does (client/source.h). Throws `kConflict` if somebody else asks that coordinator for another sample meanwhile.
RecomputeReport recompute_there(const std::string& where, const ConnectionOptions& connection,
                                const RecomputeOptions& options, const RecomputeProgress& progress);

}  // namespace flowloom
