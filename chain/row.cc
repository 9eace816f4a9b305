#include "chain/row.h"

#include <algorithm>
#include <array>

#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string_view bytes_of(const std::vector<double>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)};
}

// The canonical bytes of a row before its data: "U" first_index count fields, for example. `data` and `flags` follow.
std::string canonical_head(const Row& row) {
  std::string head;
  const auto add = [&](const auto& value) { head += bytes_of(value); };
  if (row.kind == "unit") {
    add('U'), add(row.first_index), add(static_cast<std::uint32_t>(row.count));
    const std::size_t column = row.count * sizeof(double);  // zero for a damaged count, too
    add(static_cast<std::uint32_t>(column != 0 ? row.data.size() / column : 2));
  } else if (row.kind == "switch" || row.kind == "reweigh") {
    add(row.kind == "switch" ? 'S' : 'R'), add(row.first_index);
  } else {
    add(row.kind == "event" ? 'E' : 'B'), add(row.first_index), add(static_cast<std::uint32_t>(row.data.size()));
  }
  return head;
}

}  // namespace

PackedRecord::PackedRecord(const Record& record) {
  if (const auto* unit = std::get_if<UnitRecord>(&record)) {
    const UnitData& numbers = unit->data;
    data_.reserve((2 * numbers.count() + numbers.sums.size()) * sizeof(double));
    for (const auto* values : {&numbers.log_p, &numbers.log_q, &numbers.sums}) data_ += bytes_of(*values);
    flags_ = pack_flags(unit->accepted);
    row_ = {"unit", numbers.first_index, numbers.version, numbers.count(), {}, {}, unit->worker, unit->second};
  } else if (const auto* placed = std::get_if<SwitchRecord>(&record)) {
    data_.assign(placed->checkpoint.begin(), placed->checkpoint.end());
    flags_.assign(1, static_cast<char>(placed->placement));
    row_ = {"switch", placed->from, placed->version, 0, {}, {}};
  } else if (const auto* reweigh = std::get_if<ReweighRecord>(&record)) {
    data_ = bytes_of(canonical(reweigh->log_q));
    row_ = {"reweigh", reweigh->index, reweigh->version, 0, {}, {}};
  } else if (const auto* event = std::get_if<EventRecord>(&record)) {
    data_ = event->text;
    row_ = {"event", event->at, 0, 0, {}, {}};
  } else {
    data_ = std::get<RewindRecord>(record).reason;
    row_ = {"rewind", std::get<RewindRecord>(record).to, 0, 0, {}, {}};
  }
  row_.flags = flags_;
  row_.data = data_;
}

void check_unit_row(const Row& row, const std::string& what) {
  const auto corrupt = [&](const char* why) { return Error(ErrorCode::kCorrupt, what + " " + why + "."); };
  const std::size_t column = row.count * sizeof(double);
  if (row.count == 0 || row.count > row.data.size() || row.data.size() % column != 0 || row.data.size() < 2 * column ||
      row.flags.size() != (row.count + 7) / 8) {
    throw corrupt("is a unit whose arrays have the wrong size");
  }
  if (row.count % 8 != 0 && static_cast<unsigned char>(row.flags.back()) >> (row.count % 8) != 0) {
    throw corrupt("is a unit with more flags than proposals");
  }
}

Record from_row(const Row& row, const std::string& what) {
  const auto corrupt = [&](const char* why) { return Error(ErrorCode::kCorrupt, what + " " + why + "."); };
  if (row.kind == "unit") {
    check_unit_row(row, what);
    const std::size_t column = row.count * sizeof(double);
    return UnitRecord{{row.first_index, row.version, unpack(row.data.substr(0, column)),
                       unpack(row.data.substr(column, column)), unpack(row.data.substr(2 * column))},
                      unpack_flags(row.flags, row.count),
                      row.worker,
                      row.second};
  }
  if (row.kind == "switch") {
    SwitchRecord record{row.first_index, row.version, {}, {}};
    if (row.data.size() != record.checkpoint.size() || row.flags.size() != 1 || row.flags[0] < 0 ||
        row.flags[0] > static_cast<char>(Placement::kOperator) || row.count != 0) {
      throw corrupt("is a damaged switch");
    }
    record.placement = static_cast<Placement>(row.flags[0]);
    std::copy(row.data.begin(), row.data.end(), record.checkpoint.begin());
    return record;
  }
  const bool bare = row.count == 0 && row.flags.empty();
  if (row.kind == "reweigh") {
    if (row.data.size() != sizeof(double) || !bare) throw corrupt("is a damaged reweigh");
    return ReweighRecord{row.first_index, row.version, unpack(row.data)[0]};
  }
  if ((row.kind == "event" || row.kind == "rewind") && !bare)
    throw corrupt("has the count or the flags of another kind");
  if (row.kind == "event") return EventRecord{row.first_index, std::string(row.data)};
  if (row.kind == "rewind") return RewindRecord{row.first_index, std::string(row.data)};
  throw corrupt("is of an unknown kind");
}

std::string canonical_bytes(const Row& row) { return canonical_head(row).append(row.data).append(row.flags); }

Sha256 canonical_digest(const Row& row) { return sha256({canonical_head(row), row.data, row.flags}); }

Sha256 next_link(const Sha256& previous, const Sha256& canonical_digest) {
  return sha256({bytes_of(previous), bytes_of(canonical_digest)});
}

std::string canonical_bytes(const Record& record) { return canonical_bytes(PackedRecord(record).row()); }

Sha256 next_link(const Sha256& previous, const Record& record) {
  return next_link(previous, PackedRecord(record).row());
}

}  // namespace flowloom
