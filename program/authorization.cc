#include "program/authorization.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>

namespace flowloom {

std::span<const Permission> permissions() {
  using enum Role;
  static const std::array kTable{
      Permission{"flowloom.v1.Coordinator/Work", {kWorker, kAdmin}},
      Permission{"flowloom.v1.Models/Publish", {kTrainer, kAdmin}},
      Permission{"flowloom.v1.Models/Fetch", {kWorker, kTrainer, kClient, kAdmin}},
      Permission{"flowloom.v1.Models/List", {kWorker, kTrainer, kClient, kAdmin}},
      Permission{"flowloom.v1.Models/Watch", {kWorker, kTrainer, kClient, kAdmin}},
      Permission{"flowloom.v1.Models/Describe", {kTrainer, kClient, kAdmin}},
      Permission{"flowloom.v1.Models/Report", {kTrainer, kAdmin}},
      Permission{"flowloom.v1.Models/Record", {kClient, kAdmin}},
      Permission{"flowloom.v1.Training/Share", {kTrainer, kAdmin}},
      Permission{"flowloom.v1.Chain/Status", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/WatchStatus", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/StreamStates", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/Drain", {kAdmin}},
  };
  return kTable;
}

grpc::Status Authorizer::check(const grpc::ServerContextBase& context, const std::string& method) const {
  const auto table = permissions();
  const bool known = std::any_of(table.begin(), table.end(), [&](const Permission& p) { return method == p.method; });
  const auto& metadata = context.client_metadata();
  const auto header = metadata.find("authorization");
  const std::string expected = "Bearer " + token_;
  const bool good = header != metadata.end() && header->second.size() == expected.size() &&
                    CRYPTO_memcmp(header->second.data(), expected.data(), expected.size()) == 0;
  if (!good) {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                        "This coordinator wants the token of its run directory; name the directory (or --token-file) "
                        "so that it is found.");
  }
  if (!known) return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "No role may call " + method + ".");
  return grpc::Status::OK;
}

}  // namespace flowloom
