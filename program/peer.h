// Where a program's coordinator is: in a run directory, which says so itself, or at an address that is given by name.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <memory>
#include <string>

namespace flowloom {

struct PeerOptions {
  std::filesystem::path directory;   // of a run; or, where that is not in reach,
  std::string address;               // "host:port" and
  std::filesystem::path token_file;  // a copy of its token
  bool insecure = false;
};

// A coordinator, ready to be called.
struct Peer {
  std::string address;
  std::string token;
  std::shared_ptr<grpc::Channel> channel;
};

// One owner, no locks.
class PeerFinder {
 public:
  // Throws `kInvalidInput` unless `options` name either a directory or an address and a token.
  explicit PeerFinder(PeerOptions options);

  // For sentences: "the coordinator of 'runs/phi4'".
  std::string name() const;

  // Looks anew at each call, because a coordinator that started again has another address. Throws
  // `kUnavailable` while none has announced itself.
  Peer find();

 private:
  PeerOptions options_;
  Peer last_;
};

}  // namespace flowloom
