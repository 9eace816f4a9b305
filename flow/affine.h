// The affine coupling for plain numbers and for tensors.
#pragma once

#include "math/elementary.h"

namespace flowloom {

#include "flow/affine.inl"

}  // namespace flowloom
