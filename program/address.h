// Addresses as people write them: "HOST:PORT", "[::1]:4000".
#pragma once

#include <string>

#include "spec/error.h"

namespace flowloom {

struct Address {
  std::string host;  // as a resolver takes it: without the brackets of IPv6
  std::string port;  // empty: none was named
};
Address split_address(const std::string& address);

// True for "127.x.y.z:port", "[::1]:port", "localhost:port".
bool is_loopback(const std::string& address);

// Why an address that is not on loopback is refused without TLS; `what` begins the sentence: "--listen 0.0.0.0:4000".
Error not_on_loopback(const std::string& what);

}  // namespace flowloom
