// Units of the log that are drawn again: those that stand on the word of a worker that was proved wrong, or a sample of
// all.
//
// They are read from the log in batches, in order; each is certain once another worker finds what the log has, and
// wrong once others agree on something else. The first wrong one ends it.
//
// Pure: no clock, file, socket or thread. One owner, no locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "chain/store.h"
#include "coordinator/jury.h"
#include "coordinator/unit_ledger.h"

namespace flowloom {

// Whether a unit stands on the word of workers in quarantine alone.
inline bool doubtful(const UnitPlace& place, const std::set<WorkerId>& quarantined) {
  return quarantined.contains(place.worker) && (place.second == kNobody || quarantined.contains(place.second));
}

// Which units are to be read, in order.
struct RecheckQuery {
  std::uint64_t number = 0;       // counts the queries
  std::uint64_t first_index = 0;  // from this proposal on
  std::size_t limit = 0;
  std::optional<UnitSample> sample;  // nothing: the doubtful ones

  // Whether a unit of the log, of `unit` proposals, is one of them. `quarantined`: the numbers of workers in
  // quarantine.
  bool wants(NoiseKey key, std::size_t unit, const UnitPlace& place, const std::set<WorkerId>& quarantined) const {
    return sample ? sample->contains(key, place.first_index / unit) : doubtful(place, quarantined);
  }
};

class Recheck {
 public:
  Recheck(NoiseKey key, double tolerance, Time lease) : key_(key), tolerance_(tolerance), lease_(lease) {}

  // From the log's first unit on. A sample waits until nothing is doubtful; what was under way begins anew.
  void begin_doubtful();
  void begin_sample(const UnitSample& sample);

  bool under_way() const { return doubtful_ || sampling_; }
  bool doubtful() const { return doubtful_; }
  const std::optional<UnitSample>& sample() const { return sample_; }  // the last one asked for
  std::uint64_t checked() const { return checked_; }                   // units, of what is under way or was last

  // What is to be read from the log now, once; then its units. None: there are no more.
  std::optional<RecheckQuery> take_query();
  void read(std::uint64_t query, std::vector<UnitRecord> units);

  // The ledger knows the units of the present batch by their places in it; null while there is none.
  UnitLedger* ledger() { return ledger_ ? &*ledger_ : nullptr; }
  const UnitLedger* ledger() const { return ledger_ ? &*ledger_ : nullptr; }
  UnitNumber end() const { return batch_.size(); }
  const UnitRecord& at(UnitNumber place) const { return batch_.at(place); }
  std::optional<UnitNumber> place_of(std::uint64_t first_index) const;
  std::vector<std::uint32_t> versions() const;  // of the batch
  bool may_draw(WorkerId witness, UnitNumber place) const { return jury_.may_draw(witness, place); }

  // An answer, canonical, of a worker that holds a lease; the jury hears it as `witness`. `alone`: nobody else can draw
  // it now. Returns who is wrong.
  std::vector<Jury::Wrong> heard(UnitNumber place, WorkerId worker, WorkerId witness, UnitData numbers, bool alone);

  // Decides what waits for nobody any more (Jury::settle, by places in the batch). Returns false if there was nothing.
  bool settle(const Jury::Alone& alone);

  // Gives a lost worker's leases back; what it said counts on.
  void left(WorkerId worker);

  // Drops what this worker answered, and gives its leases back: it was proved wrong elsewhere.
  void disbelieve(WorkerId worker);

  // The first unit that is wrong, once all before it are known to be right. Nothing more happens then.
  struct WrongUnit {
    std::uint64_t first_index = 0;
    std::uint64_t worker = 0;  // whose numbers the log has
    double by = 0;             // largest difference of log_w
  };
  const std::optional<WrongUnit>& wrong() const { return wrong_; }

  // Units that the log has right, and by whose word: (first proposal, worker).
  std::vector<std::pair<std::uint64_t, WorkerId>> take_confirmed() { return std::exchange(confirmed_, {}); }

 private:
  void restart();
  void decide(UnitNumber place, const Jury::Finding& finding);
  void advance();

  NoiseKey key_;
  double tolerance_;
  Time lease_;
  bool doubtful_ = false, sampling_ = false;
  std::optional<UnitSample> sample_;
  std::uint64_t next_ = 0, checked_ = 0;
  std::uint64_t queries_ = 0;
  bool asked_ = false;
  std::vector<UnitRecord> batch_;
  std::optional<UnitLedger> ledger_;
  Jury jury_{key_, 1.0, tolerance_};
  std::map<UnitNumber, std::optional<WrongUnit>> decided_;  // of the batch, not yet passed
  std::optional<WrongUnit> wrong_;
  std::vector<std::pair<std::uint64_t, WorkerId>> confirmed_;
};

// One of `units` (not 0), for a sample that contains none of them.
inline UnitNumber unit_instead(const UnitSample& sample, NoiseKey key, UnitNumber units) {
  const double place = uniforms(key, Purpose::kAudit, units, sample.seed)[1] * static_cast<double>(units);
  return std::min(static_cast<UnitNumber>(place), units - 1);
}

}  // namespace flowloom
