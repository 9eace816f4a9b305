// What the programs agree on about each other: limits in one table, the protocol's name, what a capability is called.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "spec/numerics.h"

namespace flowloom {

// Every call has a deadline, and everything that a peer can make grow has a bound:
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
inline constexpr std::size_t kReasonBytes = 4096;      // of a peer's sentence that is kept
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

}  // namespace flowloom
