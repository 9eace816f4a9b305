// Who may call what: one table, in force on every method of every service of ours. Health and reflection are open to
// everybody: they tell that a coordinator is there and what this protocol is, which no secret is.
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "program/role.h"
#include "spec/sha256.h"

namespace flowloom {

struct Permission {
  const char* method;  // "flowloom.v1.Chain/Status"
  std::set<Role> roles;
};

// Every method there is; one that is missing here is refused to everybody.
std::span<const Permission> permissions();

// Knows the tokens. Any thread.
//
// Role tokens are read again while it works, at most once in limits::kTokenRefresh, when a call comes:
//   - a file that has changed counts from then on, one that is gone has no token any more;
//   - one that cannot be trusted or read (readable by others, empty, a short token) is refused with a sentence in the
//     log, and what it said before goes on to count: a slip of the keyboard does not stop a cluster.
// Streams that are open already stay open.
class Authorizer {
 public:
  // `token`: the run directory's; whoever can read it owns the run, so it stands for admin. `folder` holds
  // "worker.token" and so on, each where there is to be one; empty: no role has a token of its own. Throws if a file
  // there is refused.
  explicit Authorizer(const std::string& token, std::filesystem::path folder = {});

  // OK, UNAUTHENTICATED (no token or a wrong one) or PERMISSION_DENIED. What is compared are SHA-256s, all of them,
  // each in constant time.
  grpc::Status check(const grpc::ServerContextBase& context, const std::string& method);

 private:
  struct Tokens {
    std::vector<Sha256> digests;
    std::string trouble;  // said already
  };

  std::set<Role> roles_of(const std::string& token) const;
  void refresh();
  std::vector<Sha256> read(Role role) const;

  const Sha256 run_token_;
  const std::filesystem::path folder_;
  std::atomic<std::chrono::steady_clock::rep> refreshed_;
  mutable std::mutex mutex_;  // of what follows
  std::map<Role, Tokens> tokens_;
};

}  // namespace flowloom
