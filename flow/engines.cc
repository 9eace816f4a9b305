#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <regex>
#include <vector>

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

// The module's file, or nothing.
std::optional<fs::path> find_module(const std::string& file) {
  for (const fs::path& directory : module_directories()) {
    std::error_code ignored;
    if (fs::exists(directory / file, ignored)) return directory / file;
  }
  return {};
}

[[noreturn]] void refuse_missing(const std::string& what, const std::string& file, const std::string& remedy) {
  std::vector<std::string> looked;
  for (const fs::path& directory : module_directories()) looked.push_back(directory.string());
  throw Error(ErrorCode::kNotFound, what + " " + file + " is not in " + join_or(looked) + ". " + remedy);
}

template <class Function>
Function* symbol(void* module, const char* name) {
  return reinterpret_cast<Function*>(dlsym(module, name));
}

std::shared_ptr<const Engine> open_module(const fs::path& file, const std::string& device) {
  void* module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module) {
    const char* reason = dlerror();
    throw Error(ErrorCode::kConflict,
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
  return std::shared_ptr<const Engine>(create(device.c_str()));
}

std::shared_ptr<const Engine> open_torch() {
  const auto file = find_module(kTorchModule);
  if (!file) {
    refuse_missing(
        "The LibTorch engine", kTorchModule,
        "Build with -DFLOWLOOM_TORCH=ON, or name its directory in FLOWLOOM_ENGINE_DIR. Training needs it with every "
        "engine, to "
        "check what it publishes; a chain that serves finished checkpoints with engine = \"lanes\" does not.");
  }
  return open_module(*file, "cpu");
}

std::shared_ptr<const Engine> open_lanes(const std::string& device) {
  if (device == "cpu") return lanes_engine();
  if (device == "auto") {
    const auto file = find_module(kCudaModule);
    if (!file) return lanes_engine();
    try {
      return open_module(*file, "cuda:0");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;  // no GPU that it could use, no driver
      return lanes_engine();
    }
  }
  if (device.starts_with("cuda:")) {
    const auto file = find_module(kCudaModule);
    if (!file) {
      refuse_missing("The GPU's engine", kCudaModule,
                     "Build where nvcc is, name its directory in FLOWLOOM_ENGINE_DIR, or use --device cpu.");
    }
    return open_module(*file, device);
  }
  const std::vector<lanes::InstructionSet> sets = lanes::instruction_sets();
  std::vector<std::string> names;
  for (const lanes::InstructionSet& set : sets) {
    if (device == "cpu:" + set.name) return lanes_engine(set);
    names.push_back("cpu:" + set.name);
  }
  throw Error(ErrorCode::kNotFound, "This processor has no device \"" + device + "\"; it has " + join_or(names) + ".");
}

}  // namespace

std::string device_refusal(const std::string& device) {
  static const std::regex kDevice("auto|cpu(:[a-z0-9]+)?|cuda:[0-9]{1,3}");
  return std::regex_match(device, kDevice)
             ? ""
             : "must be auto, cpu, cpu:SET as in cpu:avx2, or cuda:N as in cuda:0, not " + device;
}

std::shared_ptr<const Engine> open_engine(const std::string& name, const std::string& device) {
  if (const std::string refusal = device_refusal(device); !refusal.empty()) {
    throw Error(ErrorCode::kInvalidInput, "A device " + refusal + ".");
  }
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::shared_ptr<const Engine>> opened;
  const std::lock_guard lock(mutex);
  const std::pair key(name, name == "lanes" ? device : "");
  if (const auto found = opened.find(key); found != opened.end()) return found->second;
  if (name != "lanes" && name != "torch") {
    throw Error(ErrorCode::kInvalidInput, "There is no engine \"" + name + "\"; use \"lanes\" or \"torch\".");
  }
  const std::shared_ptr<const Engine> engine = name == "lanes" ? open_lanes(device) : open_torch();
  opened[key] = engine;
  return engine;
}

}  // namespace flowloom
