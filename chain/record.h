// The log: one sequence of records, each linked to the one before (docs/log-format.md is its grammar).
//
//   link = SHA-256(previous link ‖ SHA-256(canonical bytes)),   the first "previous link" being the identity's hash
//
// The canonical bytes hold what the chain is made of, and nothing about when, where and by whom it was computed: two
// runs are the same if their heads (last links) are. Records are only ever added; one that turned out to be wrong is
// left behind by a rewind. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "spec/sha256.h"

namespace flowloom {

// The numbers of one unit, proposals first_index .. first_index + count - 1, all drawn under one version.
struct UnitData {
  std::uint64_t first_index = 0;
  std::uint32_t version = 0;
  std::vector<double> log_p, log_q;  // [count]
  std::vector<double> sums;          // [sum][count]

  std::size_t count() const { return log_p.size(); }
};

// What the accept test needs of a unit; the numbers are somebody else's.
struct UnitView {
  std::uint64_t first_index = 0;
  std::uint32_t version = 0;
  std::span<const double> log_p, log_q;  // [count]

  UnitView() = default;
  UnitView(const UnitData& unit)  // NOLINT(google-explicit-constructor)
      : UnitView(unit.first_index, unit.version, unit.log_p, unit.log_q) {}
  UnitView(std::uint64_t first, std::uint32_t under, std::span<const double> p, std::span<const double> q)
      : first_index(first), version(under), log_p(p), log_q(q) {}

  std::size_t count() const { return log_p.size(); }
};

struct UnitRecord {
  UnitData data;
  std::vector<std::uint8_t> accepted;  // [count], 0 or 1
  // Not of the canonical bytes: the worker whose numbers these are, and the one that drew the same again (0: nobody).
  std::uint64_t worker = 0, second = 0;
};

// Who decided where a switch lies. The numbers are of the canonical bytes.
enum class Placement : std::uint8_t {
  kSchedule = 0,  // the run file
  kClock = 1,     // the version's arrival ("asap")
  kOperator = 2,  // `flowloom models activate`
};

// From proposal `from` on, `version` serves: the checkpoint of this SHA-256.
struct SwitchRecord {
  std::uint64_t from = 0;
  std::uint32_t version = 0;
  Sha256 checkpoint{};
  Placement placement = Placement::kSchedule;
};

// The current state's log_q under the version that serves from here on.
struct ReweighRecord {
  std::uint64_t index = 0;  // the state
  std::uint32_t version = 0;
  double log_q = 0;
};

// Something that bears on how the chain is to be read: "the length was chosen by the data", an operator's decision.
struct EventRecord {
  std::uint64_t at = 0;  // the frontier
  std::string text;
};

// All records at or above proposal `to` before this one do not belong to the chain any more, which goes on from there.
struct RewindRecord {
  std::uint64_t to = 0;
  std::string reason;
};

using Record = std::variant<UnitRecord, SwitchRecord, ReweighRecord, EventRecord, RewindRecord>;

std::string canonical_bytes(const Record& record);

Sha256 next_link(const Sha256& previous, const Record& record);

// Accept flags, 0 or 1 each: eight to a byte, the first in the lowest bit.
std::string pack_flags(std::span<const std::uint8_t> flags);
std::vector<std::uint8_t> unpack_flags(std::string_view bytes, std::size_t count);

}  // namespace flowloom
