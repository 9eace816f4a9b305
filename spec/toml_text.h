// A checked value of a run file written as TOML on one line: [8, 8], { steps = 5000 }, "trained". Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace flowloom {

inline std::string toml_text(const nlohmann::json& value) {
  if (value.is_array()) {
    std::string text;
    for (const auto& element : value) text += (text.empty() ? "" : ", ") + toml_text(element);
    return "[" + text + "]";
  }
  if (value.is_object()) {
    std::string text;
    for (const auto& [key, element] : value.items())
      text += (text.empty() ? " " : ", ") + key + " = " + toml_text(element);
    return "{" + text + " }";
  }
  return value.dump();  // JSON's scalars are TOML's
}

}  // namespace flowloom
