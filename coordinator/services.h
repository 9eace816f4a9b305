// The gRPC services of a coordinator (proto/flowloom/v1), each method authorised, then handed to the brain.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "coordinator/brain.h"

namespace flowloom {

// To be asked before anything is touched. Throws `kConflict` if the address cannot be bound, `kInvalidInput` if it is no
// address, or not on loopback while `insecure` was not given.
void refuse_unusable_address(const std::string& address, bool insecure);

// Serves until destroyed. Health and reflection are on.
class Services {
 public:
  Services(Brain& brain, const std::string& address, const std::string& token);
  ~Services();

  // "127.0.0.1:40123": the address with the port that was given out.
  const std::string& address() const { return address_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

}  // namespace flowloom
