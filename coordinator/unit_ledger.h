// The ledger of units: who computes what, and which unit may be committed next.
//
// Keeps true:
//   - a unit below the frontier, above the window or at or above the end is never granted;
//   - one inside the window is leased to at most two workers at a time (a second one only after the first lease
//     expired);
//   - a worker that failed on a unit, or has drawn it, gets it again only if every worker that may serve it tried;
//   - a lease that expired is kept for as long again: its worker may still answer, and is not given the unit once more
//     meanwhile; then it is given up, so that a lost answer stops nothing, however few workers there are;
//   - nothing here looks at the numbers in an answer (docs/exactness.md, rule 3), nor remembers grants beyond this
//     process: an answer is judged by its unit number.
//
// Pure: no clock, file, socket or thread; time comes in with each call. One owner, no locks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace flowloom {

using UnitNumber = std::uint64_t;
using WorkerId = std::uint64_t;
inline constexpr WorkerId kNobody = 0;
using Time = std::chrono::milliseconds;  // since any fixed moment

class UnitLedger {
 public:
  // `frontier` is the first unit not yet committed; `window` bounds how far grants run ahead of it, in units.
  UnitLedger(UnitNumber frontier, std::size_t window, Time lease)
      : frontier_(frontier), next_fresh_(frontier), window_(window), lease_(lease) {}

  // Whether this worker can compute this unit.
  using MayServe = std::function<bool(WorkerId, UnitNumber)>;

  // Whether any unit below `end` needs a worker.
  bool has_work(UnitNumber end) const;

  // The lowest unit that needs a worker and that this one may serve, below `end`; nothing if there is none.
  // `connected`: all workers there are. The cost does not grow with the window.
  std::optional<UnitNumber> grant(WorkerId worker, UnitNumber end, std::span<const WorkerId> connected,
                                  const MayServe& may_serve, Time now);

  // What an answer is worth. kNew: the unit needs nothing more, and the caller keeps its numbers until the frontier
  // gets there. kSame: drop it.
  enum class Verdict { kNew, kSame, kNotInWindow };
  Verdict verdict(UnitNumber unit) const;
  Verdict answered(UnitNumber unit);

  // A unit whose verdict is kNew, or was, is to be drawn again, by another worker than this one if there is one.
  void again(UnitNumber unit, WorkerId worker);

  bool holds(WorkerId worker, UnitNumber unit) const;  // a lease, which may have expired

  // Returns how often this unit has failed by now; 0 if the worker holds no lease of it.
  int failed(WorkerId worker, UnitNumber unit);

  // The unit at the frontier was committed.
  void committed();

  // Gives a lost worker's leases back.
  void left(WorkerId worker);

  // Marks leases that expired, so that others may take their units, and gives up those that did so long ago. Returns
  // the newly expired.
  std::vector<std::pair<UnitNumber, WorkerId>> expire(Time now);

  UnitNumber frontier() const { return frontier_; }
  UnitNumber next_fresh() const { return next_fresh_; }  // the first unit never granted in this process
  std::size_t leased(WorkerId worker) const;             // expired ones too, until they are given up
  std::size_t running() const;                           // leases of all workers that have not expired
  bool running(WorkerId worker) const;                   // whether it has one of these

 private:
  struct Lease {
    WorkerId worker;
    Time expires;
    bool expired = false;
  };
  struct Unit {
    bool answered = false;
    std::vector<Lease> leases;
    std::set<WorkerId> tried;
    int failures = 0;
    bool wanted() const;  // no answer, and no lease that still runs
    bool held_by(WorkerId worker) const;
  };

  bool has_fresh(UnitNumber end) const { return next_fresh_ < end && next_fresh_ < frontier_ + window_; }
  Unit& reach(UnitNumber number);                  // a unit of the window, granted or not
  void note(UnitNumber number, const Unit& unit);  // whether it is wanted now

  // Takes the leases away that `match`.
  template <class Match>
  std::size_t drop_leases(Unit& unit, Match match);

  UnitNumber frontier_, next_fresh_;
  std::size_t window_;
  Time lease_;
  std::map<UnitNumber, Unit> units_;        // inside the window: granted, answered or failed
  std::set<UnitNumber> wanted_;             // of these
  std::map<WorkerId, std::size_t> leased_;  // how many each worker has
};

}  // namespace flowloom
