// Who may call what: one table, in force on every method of every service of ours.
//
// The token of the run directory stands for all roles: whoever can read it owns the run. So today the table decides which
// methods there are, and its roles say which of the tokens to come (one per role) will open them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <set>
#include <span>
#include <string>

namespace flowloom {

enum class Role { kWorker, kTrainer, kClient, kAdmin };

struct Permission {
  const char* method;  // "flowloom.v1.Chain/Status"
  std::set<Role> roles;
};

// Every method there is; one that is missing here is refused to everybody.
std::span<const Permission> permissions();

class Authorizer {
 public:
  // `token`: the run directory's; holds every role.
  explicit Authorizer(std::string token) : token_(std::move(token)) {}

  // OK, UNAUTHENTICATED (no token or a wrong one) or PERMISSION_DENIED. Compares in constant time.
  grpc::Status check(const grpc::ServerContextBase& context, const std::string& method) const;

 private:
  std::string token_;
};

}  // namespace flowloom
