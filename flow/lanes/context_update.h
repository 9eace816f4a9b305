// The networks' input of a loop coupling (flow/loop_coupling.h), layer after layer: what a layer does not change, the
// next one need not compute again.
#pragma once

#include <cstdint>
#include <vector>

#include "flow/loop_coupling.h"

namespace flowloom::lanes {

// Of a layer's context, by their places in it: the loops whose numbers are computed, and those that the layer before
// has as well, where they were as frozen.
struct ContextUpdate {
  struct Copy {
    std::uint32_t from, to;
  };
  std::vector<std::uint32_t> computed;
  std::vector<Copy> copied;
};

// All of it is computed.
ContextUpdate whole_context(const LoopCoupling& coupling);

// After the field has gone through `last`, in either direction.
ContextUpdate context_after(const LoopCoupling& last, const LoopCoupling& coupling);

}  // namespace flowloom::lanes
