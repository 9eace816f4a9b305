// The elementary functions of plain numbers: flowloom::exp, log, tanh, turn, atan2. Where a digit matters these are
// used, never the C library's, which differ from one system to the next.
#pragma once

#include "math/value.h"

namespace flowloom {

#include "math/elementary.inl"

}  // namespace flowloom
