// Others who compute gradient units of a step beside the trainer, if there are any.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "flow/engine.h"

namespace flowloom {

class GradientHelp {
 public:
  virtual ~GradientHelp() = default;

  struct Step {
    std::int64_t number;
    std::span<const double> weights;
    std::size_t units, unit_size;
    std::size_t taken;  // units that are begun here at once
  };
  // Takes a unit's gradient of the step that was offered last; on any thread, one at a time.
  using Arrived = std::function<void(std::size_t unit, Gradient gradient)>;

  // The step's weights must stay as they are until `withdraw`, or the next offer.
  virtual void offer(const Step& step, Arrived arrived) = 0;

  // Here, the units below `units` have been begun. On any thread.
  virtual void taken(std::size_t units) = 0;

  // When this returns, `arrived` is not called any more.
  virtual void withdraw() = 0;
};

}  // namespace flowloom
