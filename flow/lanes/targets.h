// To be included before Highway: the instruction sets that it compiles for. Those on which its MulAdd rounds twice are left
// out, and those whose vectors have no fixed size.
#pragma once

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_PPC8)
#endif
