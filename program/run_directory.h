// The directory of a run: where its files are, who owns it, and the token that local programs find there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace flowloom {

// Who serves a run directory right now; written by its coordinator, removed when it leaves in order.
struct Owner {
  std::string address;  // "127.0.0.1:40123"
  std::string host;
  std::int64_t pid = 0;
  std::uint64_t epoch = 0;
  std::string authority = {};  // PEM: of the certificate that it shows; empty: it speaks no TLS
};

class RunDirectory {
 public:
  explicit RunDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path run_file() const { return path_ / "run.toml"; }
  std::filesystem::path store() const { return path_ / "chain.sqlite"; }
  std::filesystem::path model(std::uint32_t version) const;
  std::filesystem::path training() const { return path_ / "train"; }
  std::filesystem::path logs() const { return path_ / "logs"; }
  std::filesystem::path owner_file() const { return path_ / "coordinator.json"; }
  std::filesystem::path token_file() const { return path_ / "token"; }

  // True once a run was created here.
  bool exists() const { return std::filesystem::exists(store()); }

  // Throws `kConflict` if a run was created here and its store is gone: a new one would not be that run's.
  void refuse_lost_store() const;

  // Makes the directory, its folders and a new token (256 random bits, mode 0600), as far as they are missing.
  void create() const;

  // The run file. Its last line, a comment, holds the SHA-256 of what stands above; reading throws `kCorrupt` where
  // that does not fit, for a digit that changed would be another chain.
  void write_run_file(std::string_view toml) const;
  std::string read_run_file() const;

  // What `load` makes of it, as of a text and its name: read_run(load_run_text).
  template <class Load>
  auto read_run(Load load) const {
    return load(read_run_file(), run_file().string());
  }

  // Throws `kPermissionDenied` if others may read the token, `kNotFound` if there is none.
  std::string token() const;

  void write_owner(const Owner& owner) const;
  void remove_owner() const;

  // Nothing if no coordinator has announced itself. The process may be dead all the same. Throws `kPermissionDenied` if
  // others may change the announcement: they could say where tokens are sent.
  std::optional<Owner> owner() const;

 private:
  std::filesystem::path path_;
};

// As many bytes from the system's random numbers, in hexadecimal: run ids, tokens.
std::string random_hex(std::size_t bytes);

}  // namespace flowloom
