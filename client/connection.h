// A coordinator as other C++ programs reach it: find it, call it, follow it.
//
//   flowloom::Connection run(flowloom::find_coordinator("runs/phi4-8x8"));
//   run.stream_states(0, true, {}, [](const flowloom::UnitRecord& unit) { …; return true; });
//
// Every method throws `Error` with a sentence that names the coordinator. Thread-safe: calls are independent;
// a stop token ends a stream within milliseconds. Unary calls have the deadline of program/limits.h, a read to the
// frontier has limits::kSlowReader for each unit; streams that follow live on, and a peer that is gone is noticed by
// the keep-alive.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "chain/record.h"
#include "flowloom/v1/chain.pb.h"
#include "flowloom/v1/models.pb.h"
#include "program/last_seen.h"
#include "program/peer.h"

namespace flowloom {

struct ConnectionOptions {
  std::filesystem::path token_file;  // empty: of `tls`, or the run directory's
  bool insecure = false;             // accept an address that is not on loopback, without TLS
  std::filesystem::path tls = {};    // the folder that 'flowloom certs' made
  Role role = Role::kClient;         // whose token is shown
  // Of what follows a run (client/source.h): how long a coordinator that was lost is awaited, nothing for ever; and who
  // is told that it is lost, and that it is back.
  std::optional<std::chrono::milliseconds> wait = {};
  std::function<void(const std::string&)> say = [](const std::string&) {};
};

// True if `where` is written as an address, HOST:PORT, and is no directory.
bool is_address(const std::string& where);

// `where` is a run directory with a running coordinator, or an address. Throws `kNotFound` if there is no
// such directory, `kUnavailable` if nobody serves it. Opens no connection.
Peer find_coordinator(const std::string& where, const ConnectionOptions& options = {});

class Connection {
 public:
  // `last_seen`: what the caller was told by earlier connections. A stream is of that run only.
  explicit Connection(Peer peer, std::shared_ptr<LastSeen> last_seen = std::make_shared<LastSeen>())
      : peer_(std::move(peer)), last_seen_(std::move(last_seen)) {}

  const std::string& address() const { return peer_.address; }

  v1::StatusReply status() const;

  // Calls `visit` with the status now and then every `interval` seconds (0.1 to 60). Returns when `visit`
  // returned false, `stop` was requested, or the coordinator ended the stream in order: the chain is complete. Throws
  // `kUnavailable` if it goes down before.
  void watch_status(double interval, std::stop_token stop,
                    const std::function<bool(const v1::StatusReply&)>& visit) const;

  // Calls `visit` with committed units in order, from the one that holds proposal `first_index` on. Returns
  // as `watch_status` does, and without `follow` at the frontier. A coordinator ends the stream of a reader that pauses
  // for long (limits::kSlowReader); then it is opened again where it was. Throws `kCorrupt` if a unit's arrays do not
  // fit together.
  void stream_states(std::uint64_t first_index, bool follow, std::stop_token stop,
                     const std::function<bool(const UnitRecord&)>& visit) const;

  // All versions and switches so far.
  v1::ListReply models() const;

  // The run file as accepted, and which entries of its schedule have their checkpoint.
  v1::DescribeReply describe() const;

  // The training's record so far, in the order of its steps.
  std::vector<v1::TrainingPoint> training() const;

  // From the first proposal that was never granted on, this version serves; returns that proposal. Durable once
  // `models` has the switch.
  std::uint64_t activate(std::uint32_t version, const std::string& reason) const;

  // Ends granting: what is leased is finished and committed, then the coordinator exits.
  void drain() const;

  // Draws this share of the chain's units again; the status tells what comes of it.
  void recheck(double share, std::uint32_t seed) const;

 private:
  Peer peer_;
  std::shared_ptr<LastSeen> last_seen_;
};

}  // namespace flowloom
