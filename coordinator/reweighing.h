// The reweigh of the chain's current state, for the switch at the frontier: who computes it, and what came of it.
//
// Keeps true:
//   - it is leased to one worker at a time, and to the next in turn after a failure, a lease that expired or a worker
//     that left;
//   - whoever was asked may answer, be it late: the first answer counts.
//
// Pure: no clock, file, socket or thread; time comes in with each call. One owner, no locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <span>

#include "coordinator/unit_ledger.h"

namespace flowloom {

class Reweighing {
 public:
  // Of the state at proposal `index`, under `version`.
  Reweighing(std::uint64_t index, std::uint32_t version, Time lease)
      : index_(index), version_(version), lease_(lease) {}

  std::uint64_t index() const { return index_; }
  std::uint32_t version() const { return version_; }
  const std::optional<double>& log_q() const { return log_q_; }  // nothing: not answered yet

  bool wanted() const { return !log_q_ && holder_ == kNobody; }
  // Leases it to one of those who can compute it, given in ascending order; nothing if there is none, or it is not
  // wanted.
  std::optional<WorkerId> grant(std::span<const WorkerId> able, Time now) {
    if (!wanted() || able.empty()) return {};
    const auto next = std::ranges::upper_bound(able, last_);
    holder_ = last_ = next == able.end() ? able.front() : *next;
    expires_ = now + lease_;
    asked_.insert(holder_);
    return holder_;
  }

  // Whether what a worker says of this state under this version is an answer: it was asked, and nobody was before it.
  bool awaits(WorkerId worker, std::uint64_t index, std::uint32_t version) const {
    return !log_q_ && index == index_ && version == version_ && asked_.contains(worker);
  }
  void answered(double log_q) { log_q_ = log_q; }

  // How often it has failed by now; 0 if it is not leased to this worker.
  int failed(WorkerId worker) {
    if (holder_ != worker) return 0;
    holder_ = kNobody;
    return ++failures_;
  }

  void left(WorkerId worker) {
    if (holder_ == worker) holder_ = kNobody;
  }
  void expire(Time now) {
    if (expires_ <= now) holder_ = kNobody;
  }

 private:
  std::uint64_t index_;
  std::uint32_t version_;
  Time lease_;
  std::optional<double> log_q_;
  WorkerId holder_ = kNobody, last_ = kNobody;
  Time expires_{};
  std::set<WorkerId> asked_;
  int failures_ = 0;
};

}  // namespace flowloom
