// What every program needs to speak gRPC: statuses and errors, channels with a token.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "program/limits.h"
#include "program/tls_folder.h"
#include "spec/error.h"

namespace flowloom {

// An Error's `retry_after` travels with it, and comes back by `to_error`.
grpc::Status to_status(const Error& error);

// The error that a failed call means; `what` begins the sentence: "The coordinator at 127.0.0.1:4000".
Error to_error(const grpc::Status& status, const std::string& what);

// A wait in seconds as a peer names it: at most an hour, and none if it is no positive number.
std::chrono::milliseconds wait_of(double seconds);

// Runs `work` at a service's edge: an Error becomes its status, anything else INTERNAL.
template <class Work>
grpc::Status guarded(Work work) {
  try {
    work();
    return grpc::Status::OK;
  } catch (const Error& error) {
    return to_status(error);
  } catch (const std::exception& error) {
    return grpc::Status(grpc::StatusCode::INTERNAL, std::string("A bug in Flowloom: ") + error.what());
  }
}

// A channel to a coordinator, which connects when it is used. Without TLS, an address that is not on loopback needs
// `insecure` by name.
std::shared_ptr<grpc::Channel> open_channel(const std::string& address, bool insecure,
                                            const std::optional<ClientTls>& tls = {});

// Adds the token, and the deadline unless it is zero (for streams that live on).
void prepare(grpc::ClientContext& context, const std::string& token, std::chrono::milliseconds deadline);

}  // namespace flowloom
