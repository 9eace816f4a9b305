// Angles as plain numbers, with one period for all of them: kTwoPi, a double.
//
// By this period, not by the real number, angles are reduced: differences of neighbouring sheets are then exact, and
// what maps 0 to 0 maps kTwoPi to kTwoPi. It is 2.4e-16 short of 2 pi, less than half of what separates angles near 2
// pi from each other.
#pragma once

#include "math/elementary.h"

namespace flowloom {

#include "math/angle.inl"

}  // namespace flowloom
