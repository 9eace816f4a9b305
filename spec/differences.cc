#include "spec/differences.h"

#include <algorithm>
#include <map>

namespace flowloom {

using nlohmann::json;

std::vector<Difference> differences(const json& before_tree, const json& after_tree) {
  const json before = before_tree.flatten();
  const json after = after_tree.flatten();
  std::vector<Difference> found;
  const auto add = [&](const std::string& pointer) {
    std::string key = pointer.substr(1);
    std::replace(key.begin(), key.end(), '/', '.');
    const auto show = [&](const json& values) {
      return values.contains(pointer) ? values.at(pointer).dump() : "absent";
    };
    found.push_back({key, show(before), show(after)});
  };
  for (const auto& [pointer, value] : before.items()) {
    if (!after.contains(pointer) || after.at(pointer) != value) add(pointer);
  }
  for (const auto& [pointer, value] : after.items()) {
    if (!before.contains(pointer)) add(pointer);
  }
  return found;
}

std::string run_file_key(const std::string& key) {
  static const std::map<std::string, std::string> kNames = {{"noise.seed", "run.seed"},
                                                            {"noise.name", "run.noise"},
                                                            {"unit", "run.unit"},
                                                            {"numerics.engine", "run.engine"},
                                                            {"numerics.precision", "run.precision"},
                                                            {"precision", "run.precision"}};
  const auto name = kNames.find(key);
  return name == kNames.end() ? key : name->second;
}

}  // namespace flowloom
