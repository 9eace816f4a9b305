// Dual numbers of plain numbers.
#pragma once

#include "math/value.h"

namespace flowloom {

#include "math/dual.inl"

}  // namespace flowloom
