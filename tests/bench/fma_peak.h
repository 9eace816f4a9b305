// A core's peak: fused multiply-adds that depend on nothing but themselves, on as many registers as hide their latency.
#pragma once

#include <string>

namespace flowloom {

// Multiply-adds of float32 per second on this thread, on the vectors of `instruction_set` ("avx512", "avx2", "neon"); 0
// for "portable". Takes some `seconds`.
double fma_peak(const std::string& instruction_set, double seconds);

}  // namespace flowloom
