// What distinguishes two sets of settings.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flowloom {

struct Difference {
  std::string key;            // "theory.lambda"
  std::string before, after;  // as JSON; "absent"
};

// By key.
std::vector<Difference> differences(const nlohmann::json& before, const nlohmann::json& after);

// What a run file calls such a key of an identity or of training settings: "run.seed" for "noise.seed".
std::string run_file_key(const std::string& key);

}  // namespace flowloom
