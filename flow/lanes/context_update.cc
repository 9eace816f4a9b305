#include "flow/lanes/context_update.h"

#include <algorithm>

namespace flowloom::lanes {

ContextUpdate whole_context(const LoopCoupling& coupling) { return context_after({}, coupling); }

ContextUpdate context_after(const LoopCoupling& last, const LoopCoupling& coupling) {
  ContextUpdate update;
  const std::vector<std::uint32_t>& before = last.sites.inputs;  // ascending
  for (std::uint32_t i = 0; i < coupling.context.size(); ++i) {
    const auto found = std::ranges::lower_bound(before, coupling.sites.inputs[i]);
    const auto from = static_cast<std::uint32_t>(found - before.begin());
    // Of one number may be other loops: those around links.
    if (found != before.end() && *found == coupling.sites.inputs[i] && last.context[from] == coupling.context[i]) {
      update.copied.push_back({from, i});
    } else {
      update.computed.push_back(i);
    }
  }
  return update;
}

}  // namespace flowloom::lanes
