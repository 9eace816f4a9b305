// The address at which a coordinator listens, and gRPC's server there.
#pragma once

#include <grpcpp/grpcpp.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "program/tls_folder.h"

namespace flowloom {

// To be asked before anything is touched. Throws `kConflict` if the address cannot be bound, `kInvalidInput` if it is
// no address, or not on loopback while it was not `accepted` (by --tls or --insecure).
void refuse_unusable_address(const std::string& address, bool accepted);

struct Listening {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // "127.0.0.1:40123": with the port that was given out
};

// Serves these, which must live longer, with TLS if that is given. Health and reflection are on. Throws `kConflict` if
// the address cannot be bound.
Listening listen_at(const std::string& address, const std::optional<ServerTls>& tls,
                    std::initializer_list<grpc::Service*> services);

}  // namespace flowloom
