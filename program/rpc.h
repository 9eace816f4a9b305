// What every program needs to speak gRPC: statuses and errors, limits in one table, channels with a token.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "program/tls_folder.h"
#include "spec/error.h"
#include "spec/numerics.h"

namespace flowloom {

// Every call has a deadline, everything has a bound. The defaults, all of them:
namespace limits {
inline constexpr std::chrono::seconds kUnaryDeadline{10};      // status, list, describe, report
inline constexpr std::chrono::seconds kTransferDeadline{300};  // publish, fetch
inline constexpr std::chrono::seconds kConnectDeadline{5};
inline constexpr std::chrono::seconds kComeBack{1};     // what a coordinator that goes down asks its peers to wait
inline constexpr std::chrono::seconds kProbe{2};        // to find out why TLS fails
inline constexpr int kReportedPoints = 1000;            // of a training's record, in one report
inline constexpr std::size_t kRecordPoints = 10000;     // in one reply
inline constexpr std::size_t kMessageBytes = 16 << 20;  // a unit of 65536 proposals with 30 columns still fits
inline constexpr std::size_t kChunkBytes = 1 << 20;     // of a checkpoint
inline constexpr std::size_t kModelBytes = 1ull << 32;  // a checkpoint
inline constexpr std::uint32_t kCredits = 1024;         // units a worker may take at once
inline constexpr std::size_t kWorkers = 4096;
inline constexpr std::size_t kQueuedMessages = 4096;       // to one peer
inline constexpr std::size_t kSharedBytes = 256ull << 20;  // of slopes: a training step that workers share
inline constexpr std::size_t kNameBytes = 256;
inline constexpr std::size_t kReasonBytes = 4096;      // of a decision that the log tells
inline constexpr std::size_t kHelloBytes = 16 << 10;   // what a worker says of itself, kept while it is there
inline constexpr std::chrono::seconds kKeepAlive{10};  // a peer silent for twice this is gone
// A stranger, or one who does not take what it asked for, costs the coordinator at most this:
inline constexpr std::chrono::seconds kHandshake{5};        // for TLS and HTTP/2 to begin
inline constexpr std::chrono::seconds kIdleConnection{15};  // without a call; a channel connects again by itself
inline constexpr std::chrono::seconds kHello{10};           // until a worker's first message
inline constexpr int kStreams = 256;                        // calls under way on one connection; others wait
inline constexpr int kHeaderBytes = 8 << 10;                // of one call's metadata
inline constexpr std::size_t kSubscribers = 1024;           // streams of replies, of all callers together
inline constexpr std::chrono::seconds kSlowReader{20};      // for one reply of such a stream to be read
// Tokens:
inline constexpr std::size_t kShortestToken = 32;        // characters
inline constexpr std::chrono::seconds kTokenRefresh{1};  // at most once in this time, role tokens are read again
}  // namespace limits

inline constexpr char kProtocol[] = "flowloom.v1";

// What a worker says that computes gradients, with the bits of this build.
inline std::string gradient_capability() { return "gradient/" + std::to_string(kGradientRevision); }

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
