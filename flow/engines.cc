#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>

#include "flow/lanes/lanes_engine.h"
#include "flow/module.h"
#include "spec/error.h"

namespace flowloom {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> module_directories() {
  if (const char* named = std::getenv("FLOWLOOM_ENGINE_DIR"); named && *named) return {named};
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  return {program, program.parent_path() / "lib"};
}

fs::path find_module(const std::string& file) {
  std::vector<std::string> looked;
  for (const fs::path& directory : module_directories()) {
    std::error_code ignored;
    if (fs::exists(directory / file, ignored)) return directory / file;
    looked.push_back(directory.string());
  }
  throw Error(ErrorCode::kNotFound, "The LibTorch engine " + file + " is not in " + join_or(looked) +
                                        ". Build with -DFLOWLOOM_TORCH=ON, name its directory in FLOWLOOM_ENGINE_DIR, "
                                        "or use engine = \"lanes\" (which cannot train).");
}

template <class Function>
Function* symbol(void* module, const char* name) {
  return reinterpret_cast<Function*>(dlsym(module, name));
}

std::shared_ptr<const Engine> open_module(const fs::path& file) {
  void* module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module) {
    const char* reason = dlerror();
    throw Error(ErrorCode::kNotFound,
                "The engine " + file.string() + " cannot be opened: " + (reason ? reason : "unknown reason") + ".");
  }
  const auto interface = symbol<EngineInterfaceFunction>(module, "flowloom_engine_interface");
  const auto create = symbol<EngineCreateFunction>(module, "flowloom_engine_create");
  const std::string found = interface ? interface() : "no interface";
  if (!create || found != kEngineInterface) {
    dlclose(module);
    throw Error(ErrorCode::kConflict, "The engine " + file.string() + " belongs to another build (it says " + found +
                                          ", this program needs " + kEngineInterface + "); build both together.");
  }
  return std::shared_ptr<const Engine>(create());
}

}  // namespace

std::shared_ptr<const Engine> open_engine(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const Engine>> opened;
  const std::lock_guard lock(mutex);
  if (const auto found = opened.find(name); found != opened.end()) return found->second;
  std::shared_ptr<const Engine> engine;
  if (name == "lanes") {
    engine = lanes_engine();
  } else if (name == "torch") {
    engine = open_module(find_module(kTorchModule));
  } else {
    throw Error(ErrorCode::kInvalidInput, "There is no engine \"" + name + "\"; use \"lanes\" or \"torch\".");
  }
  opened[name] = engine;
  return engine;
}

}  // namespace flowloom
