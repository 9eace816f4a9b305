// Why TLS with a coordinator fails, in a sentence with the remedy. gRPC only says that there is no connection.
#pragma once

#include <optional>
#include <string>

#include "program/tls_folder.h"
#include "spec/error.h"

namespace flowloom {

// To be asked after a call to `address` has failed: shakes hands once more, by itself, within limits::kProbe. Nothing
// unless it sees a reason that does not pass by itself; nobody who listens is none. `tls` as the call had it.
std::optional<Error> tls_trouble(const std::string& address, const std::optional<ClientTls>& tls);

}  // namespace flowloom
