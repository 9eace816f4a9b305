// What the last bits of an engine depend on besides its own code: the C library's elementary functions, and the
// processor, by which that library and LibTorch's choose their code.
#pragma once

#include <string>

namespace flowloom {

// "x86-64 intel avx512, glibc 2.36".
std::string machine_build();

}  // namespace flowloom
