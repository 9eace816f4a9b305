// The elementary functions of plain numbers: flowloom::exp, log, tanh, turn, atan2. Where a digit matters these are
// used, never the C library's, which differ from one system to the next.
#pragma once

#include "math/value.h"

namespace flowloom {

inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kTwoPi = 2 * kPi;

#include "math/elementary.inl"

}  // namespace flowloom
