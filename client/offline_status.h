// The status of a run that nobody serves, from its store alone: the figures that a coordinator would show.
#pragma once

#include <cstdint>

#include "chain/store.h"
#include "flowloom/v1/chain.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

// Where the chain of `store` ends under `run`: on a unit boundary at or after its length, or where an `until`
// stopped it.
std::uint64_t chain_end(const Store& store, const RunSpec& run);

// Reads the log from its newest snapshot on. What only a running coordinator knows stays empty: workers, rate, epoch;
// of the training there is what the store's record says. The state is COMPLETE, or UNSPECIFIED: nobody computes.
v1::StatusReply offline_status(const Store& store, const RunSpec& run);

}  // namespace flowloom
