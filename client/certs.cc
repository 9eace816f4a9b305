#include "client/certs.h"

#include <algorithm>

#include "program/certificates.h"
#include "program/program.h"
#include "program/run_directory.h"
#include "program/secrets.h"
#include "program/tls_folder.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

// The key first: a certificate that is there has one.
void write_pair(const std::filesystem::path& certificate, const KeyPair& pair, MadeCerts& made) {
  const auto key = TlsFolder::key_of(certificate);
  if (std::filesystem::exists(certificate) || std::filesystem::exists(key)) {
    throw Error(ErrorCode::kConflict,
                quoted(certificate) + " or its key is there already; remove both to make them anew.");
  }
  write_file_atomically(key, pair.key, 0600);
  write_file_atomically(certificate, pair.certificate);
  made.files.insert(made.files.end(), {certificate, key});
}

KeyPair authority_of(const TlsFolder& folder, MadeCerts& made) {
  if (!std::filesystem::exists(folder.authority())) {
    const KeyPair authority = make_authority("Flowloom authority of " + host_name(), authority_validity());
    write_pair(folder.authority(), authority, made);
    return authority;
  }
  if (!std::filesystem::exists(folder.authority_key())) {
    throw Error(ErrorCode::kNotFound, quoted(folder.path()) +
                                          " is a copy without ca.key, which signs certificates; work in "
                                          "the folder where the authority was made.");
  }
  return {read_file(folder.authority()), read_secret(folder.authority_key())};
}

}  // namespace

MadeCerts make_certs(const std::filesystem::path& path, std::vector<std::string> hosts) {
  const TlsFolder folder(path);
  if (hosts.empty() && folder.servers().empty()) hosts.push_back(host_name());
  if (!hosts.empty() && std::filesystem::exists(folder.server(hosts.front()))) {
    const std::string there = read_file(folder.server(hosts.front()));
    for (const std::string& host : hosts) {
      if (is_for_host(there, host)) continue;
      throw Error(ErrorCode::kConflict, quoted(folder.server(hosts.front())) + " is there already, and not for " +
                                            host + "; remove it and its key to make them anew.");
    }
    hosts.clear();
  }
  for (const char* loopback : {"localhost", "127.0.0.1", "::1"}) {
    if (!hosts.empty() && std::find(hosts.begin(), hosts.end(), loopback) == hosts.end()) hosts.emplace_back(loopback);
  }
  MadeCerts made;
  // Refuses a host that is none before anything is written.
  if (!hosts.empty())
    make_server_certificate(make_authority("check", authority_validity()), hosts, certificate_validity());
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed) {
    throw Error(ErrorCode::kUnavailable,
                quoted(path) + " cannot be made (" + failed.message() + "); choose another place.");
  }
  const KeyPair authority = authority_of(folder, made);
  if (!hosts.empty()) {
    made.server = folder.server(hosts.front());
    write_pair(made.server, make_server_certificate(authority, hosts, certificate_validity()), made);
    made.hosts = hosts;
  }
  if (!std::filesystem::exists(folder.client())) {
    write_pair(folder.client(), make_client_certificate(authority, "Flowloom program", certificate_validity()), made);
  }
  for (const Role role : kRoles) {
    const auto file = folder.token(role);
    if (std::filesystem::exists(file)) continue;
    write_file_atomically(file, random_hex(32) + "\n", 0600);
    made.files.push_back(file);
  }
  return made;
}

}  // namespace flowloom
