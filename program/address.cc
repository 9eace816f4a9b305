#include "program/address.h"

namespace flowloom {

Address split_address(const std::string& address) {
  const auto colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {std::move(host), colon == std::string::npos ? "" : address.substr(colon + 1)};
}

bool is_loopback(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;  // 127.example.org is no loopback
  return host == "localhost" || host == "[::1]" || (numeric && host.starts_with("127."));
}

Error not_on_loopback(const std::string& what) {
  return Error(ErrorCode::kInvalidInput,
               what +
                   " is not on loopback: without TLS, numbers and token would travel readable by others. Name the "
                   "folder that 'flowloom certs' made with --tls, or give --insecure to accept that.");
}

}  // namespace flowloom
