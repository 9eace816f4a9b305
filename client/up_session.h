// One `flowloom up` or `flowloom train`: from the run file to the final table, through everything that may happen in
// between.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "client/console.h"

namespace flowloom {

struct UpOptions {
  std::filesystem::path run_file;
  std::filesystem::path directory;  // empty: runs/<name of the run>
  std::size_t workers = 2;
  std::string device = "auto";  // of the workers
  bool training_only = false;   // flowloom train: no workers, no chain
  std::size_t threads = 0;      // of the server; 0: all cores
  std::vector<std::string> overrides;
  bool json = false, quiet = false, die_with_parent = false, accept_rollback = false;
  std::string log_level = "info";
  std::uint64_t burn_in = 0;
};

// The exit code: 0 complete (or trained), 1 the chain did not come to its end, 130 interrupted. Throws what the run
// file, the coordinator or a program that keeps dying has to say. To be called before any thread is started.
int up(const UpOptions& options, const Console& console);

}  // namespace flowloom
