#include "program/run_directory.h"

#include <openssl/rand.h>
#include <sys/stat.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "program/secrets.h"
#include "spec/error.h"
#include "spec/files.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

constexpr std::string_view kMark = "# sha256 ";

// Where the last line begins if it is the one with the hash, else the end.
std::size_t end_of_contents(std::string_view text) {
  const std::size_t before = text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
  const std::size_t line = before == std::string_view::npos ? 0 : before + 1;
  return text.substr(line).starts_with(kMark) ? line : text.size();
}

std::string mark_of(std::string_view contents) { return std::string(kMark) + to_hex(sha256(contents)) + "\n"; }

}  // namespace

std::filesystem::path RunDirectory::model(std::uint32_t version) const {
  char name[32];
  std::snprintf(name, sizeof name, "%06u.safetensors", version);
  return path_ / "models" / name;
}

void RunDirectory::refuse_lost_store() const {
  if (exists() || !std::filesystem::exists(model(1))) return;
  throw Error(ErrorCode::kConflict, "'" + path_.string() +
                                        "' has a run's checkpoints but its chain.sqlite is gone; put that back from a "
                                        "copy, or choose another directory with --dir for a chain from the beginning.");
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

std::string RunDirectory::token() const { return read_tokens(token_file()).front(); }

void RunDirectory::write_run_file(std::string_view toml) const {
  std::string contents(toml.substr(0, end_of_contents(toml)));
  if (!contents.ends_with('\n')) contents += '\n';
  write_file_atomically(run_file(), contents + mark_of(contents));
}

std::string RunDirectory::read_run_file() const {
  if (!std::filesystem::exists(run_file())) {
    throw Error(ErrorCode::kNotFound, "'" + run_file().string() +
                                          "' is missing: to read a run takes its chain.sqlite and its run.toml, and to "
                                          "verify or go on with it also its models/.");
  }
  std::string text = read_file(run_file());
  const std::size_t end = end_of_contents(text);
  const std::string mark = text.substr(end);  // empty if its own letters are damaged
  text.resize(end);
  if (mark == mark_of(text)) return text;
  throw Error(ErrorCode::kCorrupt, "'" + run_file().string() +
                                       "' is not what was written; put the original back (what you want to change goes "
                                       "into a run file of your own, given with --run).");
}

void RunDirectory::write_owner(const Owner& owner) const {
  nlohmann::json json{{"address", owner.address}, {"host", owner.host}, {"pid", owner.pid}, {"epoch", owner.epoch}};
  if (!owner.authority.empty()) json["tls_authority"] = owner.authority;
  write_file_atomically(owner_file(), json.dump(2) + "\n");
}

void RunDirectory::remove_owner() const {
  std::error_code ignored;
  std::filesystem::remove(owner_file(), ignored);
}

std::optional<Owner> RunDirectory::owner() const {
  struct stat info{};
  if (::stat(owner_file().c_str(), &info) != 0) return {};
  if ((info.st_mode & 022) != 0) {
    throw Error(ErrorCode::kPermissionDenied, "'" + owner_file().string() +
                                                  "' can be changed by others, who could say where tokens are sent; "
                                                  "chmod 644 it.");
  }
  try {
    const auto json = nlohmann::json::parse(read_file(owner_file()));
    return Owner{json.at("address"), json.at("host"), json.at("pid"), json.at("epoch"),
                 json.value("tls_authority", "")};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) return {};  // it has just left
    throw;
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
