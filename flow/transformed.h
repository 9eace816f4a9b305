// What the transforms of one variable have in common, for plain numbers.
#pragma once

namespace flowloom {

#include "flow/transformed.inl"

}  // namespace flowloom
