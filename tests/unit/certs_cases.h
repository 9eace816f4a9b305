// A folder as `flowloom certs` makes it, for tests of what stands on it.
#pragma once

#include <chrono>
#include <string>

#include "program/certificates.h"
#include "program/secrets.h"
#include "program/tls_folder.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {

class Certs {
 public:
  Certs() {
    for (const Role role : kRoles) set_token(role, token_of(role));
    write_file_atomically(folder.authority(), authority.certificate);
    add_server("127.0.0.1", certificate_validity());
  }

  static std::string token_of(Role role, const std::string& more = "") {
    return std::string(name_of(role)) + "-" + std::string(40, 'x') + more;
  }
  void set_token(Role role, const std::string& text, int mode = 0600) const {
    write_file_atomically(folder.token(role), text + "\n", mode);
  }
  void add_server(const std::string& host, const Validity& validity) const {
    write(folder.server(host), make_server_certificate(authority, {host}, validity));
  }
  void add_client(const Validity& validity = certificate_validity()) const {
    write(folder.client(), make_client_certificate(authority, "test", validity));
  }

  ServerTls server(const std::string& host = "127.0.0.1") const { return folder.server_side(host); }

  static Validity past() {
    const auto now = std::chrono::system_clock::now();
    return {now - std::chrono::hours(48), now - std::chrono::hours(24)};
  }

  TemporaryDirectory temporary;
  TlsFolder folder{temporary.path()};
  KeyPair authority = make_authority("test", authority_validity());

 private:
  static void write(const std::filesystem::path& file, const KeyPair& pair) {
    write_file_atomically(file, pair.certificate);
    write_file_atomically(TlsFolder::key_of(file), pair.key, 0600);
  }
};

}  // namespace flowloom
