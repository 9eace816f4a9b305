// Where a program's coordinator is: in a run directory, which says so itself, or at an address that is given by name.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "program/role.h"
#include "program/tls_folder.h"
#include "spec/error.h"

namespace flowloom {

struct PeerOptions {
  std::filesystem::path directory = {};   // of a run; or, where that is not in reach,
  std::string address = {};               // "host:port" and a token:
  std::filesystem::path token_file = {};  // this one,
  bool insecure = false;
  std::filesystem::path tls = {};  // or that of `role` in this folder (TlsFolder), whose authority is trusted
  Role role = Role::kClient;
};

// A coordinator, ready to be called.
struct Peer {
  std::string address;
  std::string token;
  std::shared_ptr<grpc::Channel> channel;
  std::optional<ClientTls> tls = {};
};

// What a failed call means, in a sentence that begins with the coordinator. If there is no connection, finds out
// whether TLS is the reason (tls_trouble); that is not `kUnavailable`, because trying again does not help.
Error to_error(const grpc::Status& status, const Peer& peer);

// One owner, no locks.
class PeerFinder {
 public:
  // Throws `kInvalidInput` unless `options` name either a directory, or an address and where its token is.
  explicit PeerFinder(PeerOptions options);

  // For sentences: "the coordinator of 'runs/phi4'".
  std::string name() const;

  // Looks anew at each call, because a coordinator that started again has another address, and tokens and certificates
  // may have changed. The token is that of `token_file`; or that of the role in `tls`, or of admin there; or the
  // directory's. TLS is spoken if `tls` is named or the directory says so. Throws `kUnavailable` while no coordinator
  // has announced itself.
  Peer find();

 private:
  std::string token() const;

  PeerOptions options_;
  Peer last_;
};

}  // namespace flowloom
