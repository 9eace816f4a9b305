// Highway includes this file once for each instruction set, as it does flow/lanes/vector.cc.
#include "fma_peak.h"

#include <chrono>

#include "flow/lanes/prelude.h"
#include "math/lanes/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fma_peak.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::peak::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#include "math/lanes/vector_lanes.inl"

double fma_peak(double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kRows = kRowsOfSums<float>, kRounds = 20000;
  Row<float> rows[kRows];
  for (std::size_t k = 0; k < kRows; ++k) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) rows[k].lane[lane] = static_cast<float>(1 + k + lane);
  }
  Lanes<float> sums[kRows];
  FLOWLOOM_UNROLL for (std::size_t k = 0; k < kRows; ++k) sums[k] = Lanes<float>(rows[k]);
  const Lanes<float> factor(0.999f), term(0.001f);
  double rounds = 0, elapsed = 0;
  for (const auto start = Clock::now(); elapsed < seconds; rounds += kRounds) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      FLOWLOOM_UNROLL for (std::size_t k = 0; k < kRows; ++k) sums[k] = fma(sums[k], factor, term);
    }
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  FLOWLOOM_UNROLL for (std::size_t k = 0; k < kRows; ++k) sums[k].store(rows[k]);
  volatile float used = 0;
  for (const Row<float>& row : rows) used = used + row.lane[kLanes - 1];
  return rounds * kRows * kLanes / elapsed;
}

}  // namespace flowloom::lanes::peak::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace flowloom {

double fma_peak(const std::string& instruction_set, [[maybe_unused]] double seconds) {
#if HWY_TARGETS & HWY_AVX3
  if (instruction_set == "avx512") return lanes::peak::N_AVX3::fma_peak(seconds);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (instruction_set == "avx2") return lanes::peak::N_AVX2::fma_peak(seconds);
#endif
#if HWY_TARGETS & HWY_NEON
  if (instruction_set == "neon") return lanes::peak::N_NEON::fma_peak(seconds);
#endif
  return 0;
}

}  // namespace flowloom
#endif
