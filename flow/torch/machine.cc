#include "flow/torch/machine.h"

#if __has_include(<gnu/libc-version.h>)
#include <gnu/libc-version.h>
#endif

namespace flowloom {

std::string machine_build() {
#if defined(__x86_64__)
  std::string text = "x86-64";
  text += __builtin_cpu_is("intel") ? " intel" : __builtin_cpu_is("amd") ? " amd" : "";
  text += __builtin_cpu_supports("avx512f") ? " avx512" : __builtin_cpu_supports("avx2") ? " avx2" : "";
#elif defined(__aarch64__)
  std::string text = "aarch64";
#else
  std::string text = "another architecture";
#endif
#if defined(__GLIBC__)
  text += std::string(", glibc ") + gnu_get_libc_version();
#endif
  return text;
}

}  // namespace flowloom
