// A worker's life: finds the coordinator, works for it, and finds it again whenever it is lost.
#pragma once

#include <chrono>
#include <stop_token>

#include "program/peer.h"
#include "worker/engines.h"
#include "worker/session.h"

namespace flowloom {

struct WorkerOptions {
  SessionOptions session;
  std::chrono::milliseconds wait{60000};  // for the first Welcome
};

// Returns when the run is complete, or after the unit in hand once `stop` is requested. Throws `kUnavailable`
// if no coordinator took it in within `wait`, and what a session throws. A coordinator that is lost later is
// awaited for ever.
void work(PeerFinder finder, Engines engines, const WorkerOptions& options, std::stop_token stop);

}  // namespace flowloom
