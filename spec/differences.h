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

}  // namespace flowloom
