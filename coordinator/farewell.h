// When a coordinator that has nothing more to hand out may leave: whom it still waits for.
//
// Keeps true:
//   - whoever is connected, and a trainer at work that was not told yet that the run is over, is waited for a
//     little while (kPeers);
//   - whoever had begun to read the chain before that while was over is waited for until all is read, but not for a
//     reader that takes nothing, and not for good (kReaders); who comes later, or again and again, prolongs nothing;
//   - it does not leave before those who lost another coordinator of its run have found it (`not_before`), however soon
//     the chain is complete.
//
// Pure: no clock, file, socket or thread; time comes in with each call. One owner, no locks.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/unit_ledger.h"
#include "program/limits.h"

namespace flowloom {

class Farewell {
 public:
  static constexpr Time kPeers{3000};            // from when there was nothing left to do
  static constexpr Time kReaders{600000};        // from then, too
  static constexpr Time kTrainerSilence{10000};  // after this, a trainer is not waited for

  // With `stay` it leaves only when it is drained.
  explicit Farewell(bool stay) : stay_(stay) {}
  void not_before(Time earliest) { earliest_ = earliest; }

  // Held by somebody who reads the chain, for as long as that takes.
  class Reader {
   public:
    Reader() = default;  // nobody waits for it

    void took(Time now) {  // a unit
      if (last_) *last_ = now;
    }

   private:
    friend class Farewell;
    std::shared_ptr<Time> last_;
  };

  // Somebody begins to read the chain.
  Reader reader(Time now) {
    Reader held;
    if (since_ && now - *since_ > kPeers) return held;
    held.last_ = std::make_shared<Time>(now);
    std::erase_if(readers_, [](const auto& other) { return other.expired(); });
    readers_.push_back(held.last_);
    return held;
  }

  // A trainer reported; `waits`: it is at work, and was not told that the run is over.
  void trainer_reported(bool waits, Time now) { trainer_heard_ = waits ? std::optional(now) : std::nullopt; }

  // What the coordinator has to say. `finished`: it hands out nothing more. `over`: nobody is to come back.
  // `connected`: a worker or a follower is.
  struct Situation {
    bool finished = false, over = false, draining = false, connected = false;
  };

  // Whether it may leave now. To be asked a few times a second.
  bool may_leave(const Situation& situation, Time now) {
    if (!situation.finished || (!situation.draining && (stay_ || now < earliest_))) return false;
    if (!since_) since_ = now;
    if (!situation.draining && awaits_readers(now)) return false;
    const bool trainer = situation.over && trainer_heard_ && now - *trainer_heard_ < kTrainerSilence;
    return (!situation.connected && !trainer) || now - *since_ > kPeers;
  }

 private:
  bool awaits_readers(Time now) const {
    return now - *since_ <= kReaders && std::ranges::any_of(readers_, [&](const std::weak_ptr<Time>& reader) {
             const auto last = reader.lock();
             return last && now - *last < limits::kSlowReader;
           });
  }

  bool stay_;
  Time earliest_{};
  std::optional<Time> since_;  // there was nothing left to do
  std::vector<std::weak_ptr<Time>> readers_;
  std::optional<Time> trainer_heard_;
};

}  // namespace flowloom
