// The gRPC services of a coordinator (proto/flowloom/v1), each method authorised, then handed to the brain.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "coordinator/brain.h"
#include "program/tls_folder.h"

namespace flowloom {

// Serves until destroyed, with TLS and tokens of roles if `tls` is given. Throws as `listen_at` does (listening.h).
class Services {
 public:
  Services(Brain& brain, const std::string& address, const std::string& token,
           const std::optional<ServerTls>& tls = {});
  ~Services();

  // "127.0.0.1:40123": the address with the port that was given out.
  const std::string& address() const { return address_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

}  // namespace flowloom
