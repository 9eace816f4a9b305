#include "math/arrays.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "math/lanes/lanes.h"
#include "math/lanes/targets.h"
#include "math/philox.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "math/arrays.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// Highway includes this file once for each instruction set.
HWY_BEFORE_NAMESPACE();
namespace flowloom::lanes::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// clang-format off: the order matters
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#include "math/lanes/vector_lanes.inl"
#else
#include "math/lanes/portable_lanes.inl"
#endif
#include "math/elementary.inl"
#include "math/philox.inl"
// clang-format on

// Calls `visit(begin, count)` for kLanes numbers after the other; the compiler knows `count` for all but the last ones.
template <class Visit>
void each_row(std::size_t size, Visit visit) {
  std::size_t begin = 0;
  for (; begin + kLanes <= size; begin += kLanes) visit(begin, std::integral_constant<std::size_t, kLanes>());
  if (begin < size) visit(begin, size - begin);
}

// The same, with these numbers as lanes; after the end with `filler`.
template <class Visit>
void each_lanes(std::span<const double> x, double filler, Visit visit) {
  each_row(x.size(), [&](std::size_t begin, auto count) {
    Row<double> row;
    std::copy_n(x.data() + begin, count, row.lane);
    std::fill(row.lane + count, row.lane + kLanes, filler);
    visit(Lanes<double>(row));
  });
}

FLOWLOOM_FLATTEN
void log_uniforms(std::array<std::uint32_t, 2> key, std::uint64_t purpose, std::uint64_t first, std::span<double> out) {
  each_row(out.size(), [&](std::size_t begin, auto count) {
    Row<double> row;
    for (std::size_t lane = 0; lane < kLanes; ++lane) row.lane[lane] = std::bit_cast<double>(first + begin + lane);
    const auto index = bits(Lanes<double>(row));
    log(uniform_pair(key, purpose, index, std::uint64_t{0})[0]).store(row);
    std::copy_n(row.lane, count, out.data() + begin);
  });
}

FLOWLOOM_FLATTEN
bool all_below(std::span<const double> x, double bound) {
  const Words<std::uint64_t> magnitude(~Format<double>::kSign);
  Lanes<double> beyond(0.0);
  each_lanes(x, 0.0, [&](const Lanes<double>& values) {
    const auto below = from_bits(bits(values) & magnitude) < Lanes<double>(bound);
    beyond = select(below, beyond, Lanes<double>(1.0));
  });
  Row<double> row;
  beyond.store(row);
  return std::all_of(row.lane, row.lane + kLanes, [](double found) { return found == 0; });
}

FLOWLOOM_FLATTEN
std::pair<double, double> sum_exp(std::span<const double> x, double shift) {
  Lanes<double> sum(0.0), square(0.0);
  each_lanes(x, -std::numeric_limits<double>::infinity(), [&](const Lanes<double>& values) {
    const Lanes<double> term = exp(values - Lanes<double>(shift));
    sum = sum + term;
    square = square + term * term;
  });
  const auto over_lanes = [](const Lanes<double>& lanes) {
    Row<double> row;
    lanes.store(row);
    double total = 0;
    for (const double part : row.lane) total += part;
    return total;
  };
  return {over_lanes(sum), over_lanes(square)};
}

}  // namespace flowloom::lanes::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flowloom {
namespace lanes {
HWY_EXPORT(log_uniforms);
HWY_EXPORT(all_below);
HWY_EXPORT(sum_exp);
}  // namespace lanes

void log_uniforms(std::array<std::uint32_t, 2> key, std::uint64_t purpose, std::uint64_t first, std::span<double> out) {
  using namespace lanes;
  HWY_DYNAMIC_DISPATCH(log_uniforms)(key, purpose, first, out);
}

bool all_below(std::span<const double> x, double bound) {
  using namespace lanes;
  return HWY_DYNAMIC_DISPATCH(all_below)(x, bound);
}

std::pair<double, double> sum_exp(std::span<const double> x, double shift) {
  using namespace lanes;
  return HWY_DYNAMIC_DISPATCH(sum_exp)(x, shift);
}

}  // namespace flowloom
#endif
