// The lane engine for every instruction set with vectors: Highway includes this file once for each, in a namespace and
// with a target of its own. Where it finds none (HWY_SCALAR, HWY_EMU128) there is "portable".
#include "flow/lanes/prelude.h"
#include "math/lanes/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "flow/lanes/vector.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#include "math/lanes/vector_lanes.inl"

#include "flow/lanes/instruction_set.inl"

}  // namespace flowloom::lanes::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace flowloom::lanes {

namespace {

// Whether this processor has a target of this build. The one that the compiler assumes anyway needs no question, nor
// the library that would answer it.
template <std::int64_t kTarget>
bool has() {
  if constexpr (kTarget == HWY_STATIC_TARGET) {
    return true;
  } else {
    return (hwy::SupportedTargets() & kTarget) != 0;
  }
}

}  // namespace

std::vector<InstructionSet> vector_instruction_sets() {
  std::vector<InstructionSet> sets;
#if HWY_TARGETS & HWY_AVX3
  if (has<HWY_AVX3>()) sets.push_back({"avx512", N_AVX3::make_model, N_AVX3::make_objective});
#endif
#if HWY_TARGETS & HWY_AVX2
  if (has<HWY_AVX2>()) sets.push_back({"avx2", N_AVX2::make_model, N_AVX2::make_objective});
#endif
#if HWY_TARGETS & HWY_NEON
  if (has<HWY_NEON>()) sets.push_back({"neon", N_NEON::make_model, N_NEON::make_objective});
#endif
  return sets;
}

}  // namespace flowloom::lanes
#endif
