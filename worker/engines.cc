#include "worker/engines.h"

#include "flow/catalog.h"
#include "spec/error.h"

namespace flowloom {

std::shared_ptr<const Engine> Engines::find(const std::string& name) const {
  for (const auto& engine : available) {
    if (engine->name() == name) return engine;
  }
  return nullptr;
}

Engines open_engines() {
  Engines engines;
  for (const Kind& kind : catalog().engines) {
    try {
      engines.available.push_back(open_engine(kind.name));
    } catch (const Error& error) {
      engines.missing += (engines.missing.empty() ? "" : " ") + std::string(error.what());
    }
  }
  return engines;
}

}  // namespace flowloom
