// Keys of a run file's [flow] that do nothing in its run: those of a part of the flow that it does not have.
#pragma once

#include <map>
#include <string>

#include "spec/run_spec.h"

namespace flowloom {

// Of a checked run: each with why it does nothing and what to do instead, to end a sentence with.
std::map<std::string, std::string> idle_flow_keys(const RunSpec& run);

// Throws `kInvalidInput` with the place if somebody wrote one of them; all of them have defaults.
void refuse_idle_flow_keys(const RunSpec& run);

}  // namespace flowloom
