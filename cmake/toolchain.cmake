# Compiler, linker and warnings: what holds for every target of ours.
get_filename_component(FLOWLOOM_ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the static libraries also go into the LibTorch engine, a module
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(FLOWLOOM_CCACHE ccache)
if(FLOWLOOM_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${FLOWLOOM_CCACHE})
endif()
find_program(FLOWLOOM_MOLD mold)
if(FLOWLOOM_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Contraction would let the compiler fuse a*b+c on one machine and not on another: bits must not depend on it.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffp-contract=off>)

# On 64-bit ARM, Highway's vectors are compiled for processors with the cryptographic instructions, and GCC can put their
# functions only into functions for the same. Nothing of ours uses these instructions: processors without them do as well.
set(FLOWLOOM_AARCH64_OPTIONS -march=armv8-a+crypto)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:${FLOWLOOM_AARCH64_OPTIONS}>)
endif()

if(FLOWLOOM_SANITIZE)
  add_compile_options(-fsanitize=${FLOWLOOM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FLOWLOOM_SANITIZE})
  add_compile_definitions(FLOWLOOM_SANITIZED)  # for tests that need not be as long there
  if(FLOWLOOM_SANITIZE MATCHES undefined)
    # A check on every use of a pointer: half of the compile time, for what the address sanitizer reports as well.
    add_compile_options(-fno-sanitize=null,alignment,vptr)
  endif()
  if(FLOWLOOM_SANITIZE MATCHES thread)
    # ThreadSanitizer does not know fences, and Asio's queue has a mutex that orders the same accesses.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
    add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  endif()
endif()

# Functions that are compiled for several processors choose before the sanitizers are ready.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT FLOWLOOM_SANITIZE)
  set(FLOWLOOM_CLONES FLOWLOOM_CLONES)  # a definition for libraries that have such functions
endif()

if(FLOWLOOM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage
endif()

# Warnings are errors on our own code, not on generated code or on headers of libraries. g++ 12 sees
# uninitialized members in moves of std::variant (GCC bug 105562) and overlapping copies in std::string's operator+ (GCC bug
# 105651) where there are none; in a unity build it takes a file's own types for a header's (subobject-linkage). What clang
# means by conversion are changes of sign, too.
function(flowloom_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-restrict;-Wno-subobject-linkage>
    $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
endfunction()

# A library of ours: one per folder, found by its path from the root of the repository.
function(flowloom_library name)
  add_library(flowloom_${name} STATIC ${ARGN})
  add_library(flowloom::${name} ALIAS flowloom_${name})
  target_include_directories(flowloom_${name} PUBLIC ${FLOWLOOM_ROOT})
  flowloom_warnings(flowloom_${name})
endfunction()
