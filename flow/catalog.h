// Everything a run file can name in this build: the registered theories, flows and engines. Needs no engine.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "flow/flows.h"
#include "lattice/theories.h"
#include "spec/run_spec.h"

namespace flowloom {

const Catalog& catalog();

// Reads, overrides (`--set`) and checks a run file against the catalog.
RunSpec load_run_file(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

// The same for a text that stands for `name` in sentences (a run directory's run.toml, a peer's message).
RunSpec load_run_text(const std::string& text, const std::string& name);

// The parts that a checked run file names.
inline AnyTheory theory_of(const RunSpec& run) { return make_theory(run.theory); }
AnyFlow architecture_of(const RunSpec& run);

}  // namespace flowloom
