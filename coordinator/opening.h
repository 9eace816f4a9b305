// Opening a run: a new directory from a run file, or an old one, with what its owner changed since.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "chain/store.h"
#include "coordinator/core.h"
#include "program/run_directory.h"
#include "spec/run_spec.h"

namespace flowloom {

struct OpenedRun {
  RunSpec run;
  Store store;
  Recovered recovered;
  bool token_is_new = false;  // the directory was there, and its token was not
};

// Creates `directory` for `run_file`, or opens it: a changed policy is taken over and logged; a changed identity, or a
// change of switches that were placed, is refused (`kConflict`) with nothing touched. Without a run file the
// directory's own is used. Makes a lost token anew; raises the epoch; registers checkpoints that the run file names as
// files.
OpenedRun open_run(const RunDirectory& directory, const std::optional<std::filesystem::path>& run_file,
                   const std::vector<std::string>& overrides);

// Makes `bytes` a version of the run: the file first, then its row. The same bytes are the same version, which then
// fulfils `entries` too. Throws if they are no checkpoint that fits the run.
ModelRow register_model(Store& store, const RunDirectory& directory, const RunSpec& run, const std::string& bytes,
                        double ess, const std::string& origin, const std::vector<std::uint32_t>& entries);

}  // namespace flowloom
