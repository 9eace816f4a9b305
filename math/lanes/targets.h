// To be included before Highway: the instruction sets that it compiles for. Left out are those on which its MulAdd
// rounds twice (SSSE3, SSE4), those whose vectors have no fixed size (SVE), and those that would gain nothing (AVX3_DL)
// or nobody asked for.
#pragma once

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_PPC8)
#endif
