// One target under libFuzzer: FLOWLOOM_FUZZ_TARGET names it.
#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::fuzz::FLOWLOOM_FUZZ_TARGET({data, size});
  return 0;
}
