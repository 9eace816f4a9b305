// Flows of matrices for every instruction set with vectors, as vector.cc has the others.
#include "flow/lanes/prelude.h"
#include "math/lanes/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "flow/lanes/vector_matrices.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#include "math/lanes/vector_lanes.inl"

#include "flow/lanes/matrices.inl"

}  // namespace flowloom::lanes::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
