#include "program/run_directory.h"

#include <openssl/rand.h>
#include <sys/stat.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "spec/error.h"
#include "spec/files.h"
#include "spec/sha256.h"

namespace flowloom {

std::filesystem::path RunDirectory::model(std::uint32_t version) const {
  char name[32];
  std::snprintf(name, sizeof name, "%06u.safetensors", version);
  return path_ / "models" / name;
}

void RunDirectory::create() const {
  try {
    for (const auto& folder : {path_, path_ / "models", training(), logs()}) make_directories(folder);
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorCode::kUnavailable, "The run directory '" + path_.string() + "' cannot be made (" +
                                             error.code().message() + "); choose another with --dir.");
  }
  if (!std::filesystem::exists(token_file())) write_file_atomically(token_file(), random_hex(32) + "\n", 0600);
}

std::string RunDirectory::token() const {
  struct stat info {};
  if (::stat(token_file().c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    throw Error(ErrorCode::kPermissionDenied, "'" + token_file().string() + "' can be read by others; chmod 600 it.");
  }
  std::string token = read_file(token_file());
  while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
  return token;
}

void RunDirectory::write_owner(const Owner& owner) const {
  const nlohmann::json json{
      {"address", owner.address}, {"host", owner.host}, {"pid", owner.pid}, {"epoch", owner.epoch}};
  write_file_atomically(owner_file(), json.dump(2) + "\n");
}

void RunDirectory::remove_owner() const {
  std::error_code ignored;
  std::filesystem::remove(owner_file(), ignored);
}

std::optional<Owner> RunDirectory::owner() const {
  if (!std::filesystem::exists(owner_file())) return {};
  try {
    const auto json = nlohmann::json::parse(read_file(owner_file()));
    return Owner{json.at("address"), json.at("host"), json.at("pid"), json.at("epoch")};
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::kCorrupt, "'" + owner_file().string() + "' is damaged; if no coordinator runs, remove it.");
  }
}

std::string random_hex(std::size_t bytes) {
  std::vector<std::uint8_t> random(bytes);
  if (RAND_bytes(random.data(), static_cast<int>(bytes)) != 1) {
    throw Error(ErrorCode::kInternal, "The system gives no random numbers.");
  }
  return to_hex(random);
}

}  // namespace flowloom
