// How a record lies in the table `records`, without SQL, and its canonical bytes (docs/log-format.md). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chain/record.h"

namespace flowloom {

// The columns of one row; the bytes are somebody else's.
struct Row {
  std::string_view kind;
  std::uint64_t first_index = 0;
  std::uint32_t version = 0;
  std::size_t count = 0;
  std::string_view flags, data;
  std::uint64_t worker = 0, second = 0;
};

// A record's row, with its bytes. Stays where it is made.
class PackedRecord {
 public:
  explicit PackedRecord(const Record& record);
  PackedRecord(const PackedRecord&) = delete;
  PackedRecord& operator=(const PackedRecord&) = delete;
  const Row& row() const { return row_; }

 private:
  std::string flags_, data_;
  Row row_;
};

// Throws `kCorrupt` if the columns are those of no record; `what` begins the sentence: "Record 7 of 'chain.sqlite'".
Record from_row(const Row& row, const std::string& what);

// Throws as `from_row` does, for a unit's row.
void check_unit_row(const Row& row, const std::string& what);

std::string canonical_bytes(const Row& row);
Sha256 canonical_digest(const Row& row);  // SHA-256 of these
Sha256 next_link(const Sha256& previous, const Sha256& canonical_digest);
inline Sha256 next_link(const Sha256& previous, const Row& row) { return next_link(previous, canonical_digest(row)); }

}  // namespace flowloom
