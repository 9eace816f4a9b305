// The gRPC services of a coordinator (proto/flowloom/v1), each method authorised, then handed to the brain.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "coordinator/brain.h"
#include "program/tls_folder.h"

namespace flowloom {

// To be asked before anything is touched. Throws `kConflict` if the address cannot be bound, `kInvalidInput` if it is
// no address, or not on loopback while it was not `accepted` (by --tls or --insecure).
void refuse_unusable_address(const std::string& address, bool accepted);

// Serves until destroyed, with TLS and tokens of roles if `tls` is given. Health and reflection are on.
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
