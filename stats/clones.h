// FLOWLOOM_EVERY_WIDTH before a function: compiled for each of these instruction sets, chosen when the program starts.
// Without contraction (cmake/toolchain.cmake) and with its additions in a fixed order it has the same bits on each.
#pragma once

#ifdef FLOWLOOM_CLONES  // cmake/toolchain.cmake
#define FLOWLOOM_EVERY_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FLOWLOOM_EVERY_WIDTH
#endif
