// The elementary functions on the lanes of every instruction set. Highway includes this file once for each, as it does
// flow/lanes/vector.cc.
#include <sstream>
#include <vector>

#include "flow/lanes/prelude.h"
#include "flow_transform_digests.h"
#include "math/lanes/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "flow_lanes_mathematics_test.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::mathematics_test::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#include "math/lanes/vector_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow_transform_digests.inl"

#include "flow_lanes_mathematics.inl"

}  // namespace flowloom::lanes::mathematics_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
#include <gtest/gtest.h>

namespace flowloom::lanes::mathematics_test {
namespace portable {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow_transform_digests.inl"

#include "flow_lanes_mathematics.inl"

}  // namespace portable
namespace {

TEST(LaneMathematics, IsThatOfPlainNumbersOnEveryInstructionSet) {
  EXPECT_EQ(portable::difference_from_plain_numbers(), "");
#if HWY_TARGETS & HWY_AVX3
  if (hwy::SupportedTargets() & HWY_AVX3) {
    EXPECT_EQ(N_AVX3::difference_from_plain_numbers(), "") << "avx512";
  }
#endif
#if HWY_TARGETS & HWY_AVX2
  if (hwy::SupportedTargets() & HWY_AVX2) {
    EXPECT_EQ(N_AVX2::difference_from_plain_numbers(), "") << "avx2";
  }
#endif
#if HWY_TARGETS & HWY_NEON
  EXPECT_EQ(N_NEON::difference_from_plain_numbers(), "") << "neon";
#endif
}

}  // namespace
}  // namespace flowloom::lanes::mathematics_test
#endif
