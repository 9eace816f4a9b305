// When the numbers of a unit are certain (docs/exactness.md, rule 9).
//
// A unit is drawn once, or twice: a share of all units, chosen by noise, and those with a log-weight above their
// version's threshold or without a single valid proposal. Drawn twice, it is certain once two workers have found the
// same numbers. Where only one worker can draw it (others are away, or do not answer), the same numbers twice from that
// one do, as long as no other has found different ones. Wrong is who contradicts itself, and whom two who agree
// contradict.
//
// Keeps true:
//   - which numbers win does not depend on when they came, as long as of two workers that agree at least one is right;
//   - nobody's word counts twice but for the last rule above, and nobody is asked for a unit more than twice;
//   - the numbers of the log, where a unit of it is drawn again, count as an answer of whoever drew them: those workers
//     finding them again proves nothing to others. But they do not contradict themselves if they find others: a log can
//     be damaged.
//
// Pure: no clock, file, socket or thread. One owner, no locks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chain/record.h"
#include "coordinator/unit_ledger.h"
#include "spec/noise.h"

namespace flowloom {

// A share of all units, chosen by noise; another one for each seed. Seed 0 is the jury's own, for units that are new;
// whoever draws a sample of the log again takes another.
struct UnitSample {
  double share = 0;
  std::uint32_t seed = 1;
  bool contains(NoiseKey key, UnitNumber unit) const { return uniforms(key, Purpose::kAudit, unit, seed)[0] <= share; }
};

// Of two answers to one unit: the largest difference of log_w.
double largest_difference(const UnitData& a, const UnitData& b);

class Jury {
 public:
  // `share` of all units is drawn twice; numbers are the same if they differ by no more than `tolerance`, in log_p and
  // log_q (0: if all their bits are the same).
  Jury(NoiseKey key, double share, double tolerance) : key_(key), audit_{share, 0}, tolerance_(tolerance) {}

  // In a worker's place: the numbers that the log has. No worker comes to have this number.
  static constexpr WorkerId kLog = std::numeric_limits<WorkerId>::max();

  struct Wrong {
    WorkerId worker;
    double by;  // largest difference of log_w from what is right, or from what it answered before
  };
  struct Finding {
    std::optional<UnitData> numbers;              // certain; nothing: draw it again
    WorkerId worker = kNobody, second = kNobody;  // whose they are, and who drew them again
    std::vector<Wrong> wrong;                     // workers that this answer has proved wrong
  };

  // An answer, canonical, of a worker that may draw the unit. `threshold`: of its version. `alone`: nobody else can
  // draw it now.
  Finding heard(UnitNumber unit, WorkerId worker, UnitData numbers, double threshold, bool alone);

  // A unit that waits for nobody any more: one worker has drawn it as often as it may be asked, no other has, and
  // `alone` says that no other can draw it now, which it could not when the last answer came. It is certain. Nothing if
  // there is none.
  using Alone = std::function<bool(WorkerId, UnitNumber)>;
  std::optional<std::pair<UnitNumber, Finding>> settle(const Alone& alone);

  // The same of a unit of the log, which `authors` drew (or kNobody): it is certain once another worker's answer is
  // what the log has, or two agree on something else.
  using Authors = std::array<WorkerId, 2>;
  void logged(UnitNumber unit, UnitData numbers, const Authors& authors);

  // Drops what this worker answered about units that are not certain: it was proved wrong elsewhere.
  void disbelieve(WorkerId worker);

  // Whether a worker has answered already, and whether it may still be asked for this unit.
  bool has_drawn(WorkerId worker, UnitNumber unit) const;
  bool may_draw(WorkerId worker, UnitNumber unit) const;

  // The first one on which two workers disagree; nothing if there is none.
  struct Dispute {
    UnitNumber unit;
    WorkerId one, other;
  };
  std::optional<Dispute> dispute() const;

  // How many of a worker's answers were compared with another one's so far.
  std::uint64_t compared(WorkerId worker) const;

 private:
  struct Answer {
    WorkerId worker;
    UnitData numbers;
    Authors authors{};  // of the log's

    bool by(WorkerId other) const {
      return worker == other || (worker == kLog && std::ranges::count(authors, other) > 0);
    }
  };
  using Case = std::vector<Answer>;  // in the order of their coming

  std::ptrdiff_t draws(WorkerId worker, UnitNumber unit) const;
  bool same(const UnitData& a, const UnitData& b) const;
  bool drawn_twice(UnitNumber unit, const UnitData& numbers, double threshold) const;
  static std::optional<WorkerId> exhausted(const Case& answers);  // the only worker that drew it, and may not once more
  Finding take_word(UnitNumber unit);                             // of that one

  NoiseKey key_;
  UnitSample audit_;
  double tolerance_;
  std::map<UnitNumber, Case> cases_;
  std::map<WorkerId, std::uint64_t> compared_;
};

}  // namespace flowloom
