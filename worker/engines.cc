#include "worker/engines.h"

#include <utility>

#include "flow/catalog.h"
#include "spec/error.h"

namespace flowloom {

Engines::Engines(const std::string& device) : available_{open_engine("lanes", device)} {}

Engines::Engines(std::vector<std::shared_ptr<const Engine>> available, std::string missing)
    : available_(std::move(available)), missing_(std::move(missing)), all_tried_(true) {}

std::shared_ptr<const Engine> Engines::find(const std::string& name) const {
  for (const auto& engine : available_) {
    if (engine->name() == name) return engine;
  }
  return nullptr;
}

bool Engines::open_others() {
  if (std::exchange(all_tried_, true)) return false;
  const std::size_t before = available_.size();
  for (const Kind& kind : catalog().engines) {
    if (find(kind.name)) continue;
    try {
      available_.push_back(open_engine(kind.name));
    } catch (const Error& error) {
      missing_ += (missing_.empty() ? "" : " ") + std::string(error.what());
    }
  }
  return available_.size() > before;
}

}  // namespace flowloom
