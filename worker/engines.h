// The engines that this worker can offer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/engine.h"

namespace flowloom {

struct Engines {
  std::vector<std::shared_ptr<const Engine>> available;
  std::string missing;  // why others are not; empty if all could be opened

  // Null if it is not available.
  std::shared_ptr<const Engine> find(const std::string& name) const;
};

// Opens every engine that a run file can name. A missing one is no error: the coordinator decides whether it matters.
Engines open_engines();

}  // namespace flowloom
