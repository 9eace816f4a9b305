// A run file explained: every key with the value it takes, and what follows from them all.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spec/run_spec.h"

namespace flowloom {

struct ResolvedKey {
  std::string name;
  nlohmann::json value;  // null: the key is optional and not set
  bool by_default = false;
  std::string sentence;
  std::vector<ResolvedKey> keys;  // of a table that has a value
};

struct ResolvedSection {
  std::string name;  // "theory"
  std::vector<ResolvedKey> keys;
};

struct ResolvedVersion {
  std::uint64_t wanted = 0;  // as the run file says it
  std::uint64_t from = 0;    // on a unit boundary
  std::string when;
};

struct ResolvedRun {
  RunSpec run;
  std::vector<ResolvedSection> sections;
  std::vector<ResolvedVersion> versions;  // empty for placement "asap"
  std::string noise_key;                  // 16 hexadecimal digits: the key's two words
  std::size_t parameters = 0;             // weights of the flow
  bool couples = true;                    // `AnyFlow::couples`
  std::string unused_masks;               // as below
};

// Says that a run's flow has too few layers for every mask to have its turn; empty if it has enough. Such a flow is
// legal, and seldom meant.
std::string unused_masks(const RunSpec& run);

// Throws what `load_run_file` throws.
ResolvedRun resolve_run_file(const std::filesystem::path& file, const std::vector<std::string>& overrides);

// The run as a valid run file, each key with its sentence as a comment, then what follows, as comments too.
std::vector<std::string> resolved_lines(const ResolvedRun& resolved);
nlohmann::json resolved_json(const ResolvedRun& resolved);

}  // namespace flowloom
