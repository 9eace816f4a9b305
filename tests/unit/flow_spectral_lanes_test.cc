// The spectral map on the lanes of every instruction set. Highway includes this file once for each, as it does
// flow/lanes/vector.cc.
#include <limits>
#include <sstream>
#include <vector>

#include "flow/lanes/prelude.h"
#include "group_cases.h"
#include "math/lanes/targets.h"

#ifndef FLOWLOOM_SPECTRAL_CASES
#define FLOWLOOM_SPECTRAL_CASES
namespace flowloom {

inline constexpr std::size_t kInputs = 48;

namespace plain {

#include "flow_spectral_numbers.inl"

}  // namespace plain

// Random matrices, nearly and fully degenerate ones, zeros and a NaN.
template <int N>
std::vector<std::array<double, kInputs>> spectral_cases() {
  std::vector<std::array<double, kInputs>> cases;
  const auto add = [&](const Group<N>& loop) {
    const auto noise = normals(cases.size(), kInputs);
    std::array<double, kInputs>& numbers = cases.emplace_back();
    std::copy_n(noise.begin(), kInputs, numbers.begin());
    for (std::size_t k = 0; k < N * N; ++k) {
      numbers[12 + 2 * k] = loop.at[k / N][k % N].re;
      numbers[13 + 2 * k] = loop.at[k / N][k % N].im;
    }
  };
  for (const double gap : {1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 0.0}) {
    for (const auto& gaps : gaps_near_edges<N>(gap)) {
      add(with_spectrum<N>(random_group<N>(cases.size()), gaps));
      add(with_spectrum<N>(unit<N>(), gaps));
    }
  }
  add(scaled(unit<N>(), std::numeric_limits<double>::quiet_NaN()));
  while (cases.size() < 1600 || cases.size() % lanes::kLanes != 0) add(random_group<N>(cases.size()));
  return cases;
}

}  // namespace flowloom
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "flow_spectral_lanes_test.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::spectral_test::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#include "math/lanes/vector_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow_spectral_lanes.inl"

}  // namespace flowloom::lanes::spectral_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
#include <gtest/gtest.h>

namespace flowloom::lanes::spectral_test {
namespace portable {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow_spectral_lanes.inl"

}  // namespace portable
namespace {

TEST(SpectralLanes, GiveTheBitsOfPlainNumbersOnEveryInstructionSet) {
  EXPECT_EQ(portable::spectral_difference(), "");
#if HWY_TARGETS & HWY_AVX3
  if (hwy::SupportedTargets() & HWY_AVX3) {
    EXPECT_EQ(N_AVX3::spectral_difference(), "") << "avx512";
  }
#endif
#if HWY_TARGETS & HWY_AVX2
  if (hwy::SupportedTargets() & HWY_AVX2) {
    EXPECT_EQ(N_AVX2::spectral_difference(), "") << "avx2";
  }
#endif
#if HWY_TARGETS & HWY_NEON
  EXPECT_EQ(N_NEON::spectral_difference(), "") << "neon";
#endif
}

}  // namespace
}  // namespace flowloom::lanes::spectral_test
#endif
