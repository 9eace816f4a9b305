// Elementary functions of whole arrays, as fast as this processor's vectors allow. The same bits everywhere: each
// number is the one that math/elementary.h and math/philox.h give.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace flowloom {

// out[i] = log of the first uniform at the address (purpose, first + i), draw 0 (spec/noise.h).
void log_uniforms(std::array<std::uint32_t, 2> key, std::uint64_t purpose, std::uint64_t first, std::span<double> out);

// Whether |x| < bound for all of them, bound > 0; no NaN is.
bool all_below(std::span<const double> x, double bound);

// The sums of e^(x - shift) and of its square, x in sixteen interleaved parts, then over these. For x <= shift, a NaN
// gives NaN.
std::pair<double, double> sum_exp(std::span<const double> x, double shift);

}  // namespace flowloom
