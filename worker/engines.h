// The engines that this worker can offer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/engine.h"

namespace flowloom {

class Engines {
 public:
  // Opens "lanes" on `device` (as `open_engine` says, and throws). The others cost memory and time: see open_others().
  explicit Engines(const std::string& device);

  // Those, and nothing else. For tests.
  explicit Engines(std::vector<std::shared_ptr<const Engine>> available, std::string missing = "");

  const std::vector<std::shared_ptr<const Engine>>& available() const { return available_; }

  // Null if it is not available.
  std::shared_ptr<const Engine> find(const std::string& name) const;

  // Opens what else a run file can name, the first time. Returns whether more are available than before. One that
  // cannot be opened is no error: the coordinator decides whether it matters.
  bool open_others();

  // Why others are not available; empty if all are, or nobody asked.
  const std::string& missing() const { return missing_; }

 private:
  std::vector<std::shared_ptr<const Engine>> available_;
  std::string missing_;
  bool all_tried_ = false;
};

}  // namespace flowloom
