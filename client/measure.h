// `flowloom measure`: what is measured on the configurations of a chain (lattice/measurements.h). They are not stored;
// each is drawn again from its number and its version's checkpoint, and counts only if it has the log's log_p and log_q
// again.
#pragma once

#include <cstdint>
#include <filesystem>

#include "client/connection.h"
#include "client/console.h"

namespace flowloom {

struct MeasureOptions {
  std::string directory;
  ConnectionOptions connection;
  std::uint64_t burn_in = 0;  // chain steps to leave out
  std::size_t threads = 0;    // 0: as many as there are cores
  bool json = false;
  std::filesystem::path output;  // a CSV of the quantities after each chain step; empty: none
};

// Prints progress to a terminal on `err`, the table to `out`, under it what to know about the chain: the status' notes.
// Of a chain that is served, what is committed when it begins. Throws `kInvalidInput` where the theory has nothing to
// measure, `kConflict` if a configuration is not the log's.
int measure(const MeasureOptions& options, const Console& console);

}  // namespace flowloom
