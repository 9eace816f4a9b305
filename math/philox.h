// The generator of all noise, on plain integers (math/value.h).
#pragma once

#include <array>

#include "math/elementary.h"

namespace flowloom {

#include "math/philox.inl"

}  // namespace flowloom
