// The folder that `flowloom certs` makes, as each side reads it. Every program takes from it what is there for it, so a
// machine needs only the files of its role:
//
//   ca.crt                        the cluster's authority: everybody
//   ca.key                        signs certificates: nobody but `flowloom certs`
//   server-HOST.crt, .key         a coordinator that is called HOST, or one of the certificate's other names
//   client.crt, client.key        everybody who calls, where client certificates are required
//   worker.token, trainer.token, client.token, admin.token
//                                 what a role shows; the coordinator knows all four
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "program/role.h"

namespace flowloom {

// What a coordinator needs, in PEM.
struct ServerTls {
  std::string authority;  // of the certificates that callers show
  std::string certificate, key;
  std::filesystem::path tokens;  // the folder
  bool require_client_certificate = false;
};

// What a caller needs, in PEM; certificate and key may be empty.
struct ClientTls {
  std::string authority;
  std::string certificate, key;

  bool operator==(const ClientTls&) const = default;
};

class TlsFolder {
 public:
  explicit TlsFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path authority() const { return path_ / "ca.crt"; }
  std::filesystem::path authority_key() const { return path_ / "ca.key"; }
  std::filesystem::path client() const { return path_ / "client.crt"; }
  std::filesystem::path server(const std::string& host) const;
  std::filesystem::path token(Role role) const { return path_ / (std::string(name_of(role)) + ".token"); }

  // The key that lies beside a certificate.
  static std::filesystem::path key_of(std::filesystem::path certificate) {
    return certificate.replace_extension("key");
  }

  // The certificates "server-*.crt" that are here, by name.
  std::vector<std::filesystem::path> servers() const;

  // For a coordinator that is called `host`. Throws `kNotFound` if no certificate here is for that host,
  // `kPermissionDenied` if others may read its key, `kCorrupt` if key and certificate do not belong together or it has
  // expired.
  ServerTls server_side(const std::string& host) const;

  // For who calls. Throws `kNotFound` without an authority, `kPermissionDenied` if others may read the key.
  ClientTls client_side() const;

 private:
  std::filesystem::path path_;
};

}  // namespace flowloom
