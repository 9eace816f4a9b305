// Flows of matrices without vectors, as portable.cc has the others.
#include "flow/lanes/prelude.h"

namespace flowloom::lanes::portable {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/matrices.inl"

}  // namespace flowloom::lanes::portable
