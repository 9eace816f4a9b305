// Counts what is allocated while it lives: all bytes asked for, freed or not. Only the address sanitizer can tell;
// without it the count is zero.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define FLOWLOOM_COUNTS_ALLOCATIONS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLOWLOOM_COUNTS_ALLOCATIONS
#endif
#endif

#ifdef FLOWLOOM_COUNTS_ALLOCATIONS
// GCC has the function in its library and no header for it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));
#endif

namespace flowloom::fuzz {

class Allocations {
 public:
  Allocations() : before_(counted()) {
#ifdef FLOWLOOM_COUNTS_ALLOCATIONS
    [[maybe_unused]] static const int hooks = __sanitizer_install_malloc_and_free_hooks(
        [](const volatile void*, std::size_t size) { counted() += size; }, [](const volatile void*) {});
#endif
  }
  std::size_t bytes() const { return counted() - before_; }

 private:
  static std::size_t& counted() {
    static thread_local std::size_t bytes = 0;
    return bytes;
  }

  std::size_t before_;
};

}  // namespace flowloom::fuzz
