// What an engine's module exports, and its file name. Only engines.cc and modules include this.
//
//   flowloom_engine_interface  kEngineInterface of the build it belongs to; asked first: on a mismatch nothing else is
//   called flowloom_engine_create     a new engine on this device (as `open_engine` says), owned by the caller; may
//                                     throw
//
// The module is never closed: its objects live as long as the process.
#pragma once

#include "flow/engine.h"

namespace flowloom {

inline constexpr char kTorchModule[] = "libflowloom_torch.so";
inline constexpr char kCudaModule[] = "libflowloom_cuda.so";

using EngineInterfaceFunction = const char*();
using EngineCreateFunction = Engine*(const char* device);

}  // namespace flowloom

extern "C" {
[[gnu::visibility("default")]] const char* flowloom_engine_interface();
[[gnu::visibility("default")]] flowloom::Engine* flowloom_engine_create(const char* device);
}
