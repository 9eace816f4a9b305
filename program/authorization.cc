#include "program/authorization.h"

#include <openssl/crypto.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "program/rpc.h"
#include "program/secrets.h"
#include "program/tls_folder.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kScheme = "Bearer ";

std::string listed(const std::set<Role>& roles) {
  std::string text;
  for (const Role role : roles) text += (text.empty() ? "" : " or ") + std::string(name_of(role));
  return text;
}

}  // namespace

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
      Permission{"flowloom.v1.Models/Activate", {kAdmin}},
      Permission{"flowloom.v1.Training/Share", {kTrainer, kAdmin}},
      Permission{"flowloom.v1.Chain/Status", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/WatchStatus", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/StreamStates", {kClient, kAdmin}},
      Permission{"flowloom.v1.Chain/Recheck", {kAdmin}},
      Permission{"flowloom.v1.Chain/Drain", {kAdmin}},
  };
  return kTable;
}

Authorizer::Authorizer(const std::string& token, std::filesystem::path folder)
    : run_token_(sha256(token)), folder_(std::move(folder)), refreshed_(Clock::now().time_since_epoch().count()) {
  for (const Role role : kRoles) tokens_[role].digests = read(role);
}

std::vector<Sha256> Authorizer::read(Role role) const {
  std::vector<Sha256> digests;
  if (folder_.empty()) return digests;
  const auto file = TlsFolder(folder_).token(role);
  try {
    for (const std::string& token : read_tokens(file)) {
      if (token.size() < limits::kShortestToken) {
        throw Error(ErrorCode::kInvalidInput, "'" + file.string() + "' has a token of less than " +
                                                  std::to_string(limits::kShortestToken) +
                                                  " characters; 'flowloom certs' makes good ones.");
      }
      digests.push_back(sha256(token));
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  return digests;
}

void Authorizer::refresh() {
  if (folder_.empty()) return;
  const auto now = Clock::now().time_since_epoch();
  auto last = refreshed_.load();
  if (now - Clock::duration(last) < limits::kTokenRefresh) return;
  if (!refreshed_.compare_exchange_strong(last, now.count())) return;  // another call does it; none waits for the files
  for (const Role role : kRoles) {
    try {
      std::vector<Sha256> digests = read(role);
      const std::lock_guard lock(mutex_);
      Tokens& tokens = tokens_[role];
      tokens.trouble.clear();
      if (tokens.digests == digests) continue;
      tokens.digests = std::move(digests);
      spdlog::info("the {} role has {} from now on", name_of(role),
                   tokens.digests.empty() ? "no token" : "other tokens");
    } catch (const Error& error) {
      const std::lock_guard lock(mutex_);
      if (std::exchange(tokens_[role].trouble, error.what()) == error.what()) continue;
      spdlog::warn("{} Until then the {} role's tokens are those read before.", error.what(), name_of(role));
    }
  }
}

std::set<Role> Authorizer::roles_of(const std::string& token) const {
  const Sha256 shown = sha256(token);
  const auto is = [&](const Sha256& known) { return CRYPTO_memcmp(shown.data(), known.data(), known.size()) == 0; };
  std::set<Role> roles;
  if (is(run_token_)) roles.insert(Role::kAdmin);
  const std::lock_guard lock(mutex_);
  for (const auto& [role, tokens] : tokens_) {
    for (const Sha256& digest : tokens.digests) {
      if (is(digest)) roles.insert(role);
    }
  }
  return roles;
}

grpc::Status Authorizer::check(const grpc::ServerContextBase& context, const std::string& method) {
  refresh();
  const auto& metadata = context.client_metadata();
  const auto header = metadata.find("authorization");
  std::set<Role> roles;
  if (header != metadata.end() && metadata.count("authorization") == 1 && header->second.starts_with(kScheme.data())) {
    roles = roles_of({header->second.data() + kScheme.size(), header->second.size() - kScheme.size()});
  }
  if (roles.empty()) {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                        std::string(header != metadata.end() ? "The token that was shown does not match. " : "") +
                            "This coordinator wants the token of its run directory" +
                            std::string(folder_.empty() ? "; name the directory (or --token-file)"
                                                        : " or of a role; name the directory, --tls or --token-file") +
                            " so that it is found.");
  }
  const auto table = permissions();
  const auto row = std::find_if(table.begin(), table.end(), [&](const Permission& p) { return method == p.method; });
  if (row == table.end()) {
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "No role may call " + method + ".");
  }
  if (std::any_of(roles.begin(), roles.end(), [&](Role role) { return row->roles.contains(role); })) {
    return grpc::Status::OK;
  }
  return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "The token is " + listed(roles) + "'s, which may not call " +
                                                               method + ": that takes the token of " +
                                                               listed(row->roles) + ".");
}

}  // namespace flowloom
