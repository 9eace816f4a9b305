// Proposals as lines of CSV or JSON. Pure.
//
// Columns: index, version, accepted, log_p, log_q, the sums of the log, then the theory's observables
// computed from them. A sum that has the name of an observable gets the suffix "_sum". Numbers have 17
// significant digits, so they read back to the same doubles; those that are not finite are nan, inf or -inf
// in CSV and null in JSON.
#pragma once

#include <string>
#include <vector>

#include "chain/record.h"
#include "lattice/theories.h"

namespace flowloom {

enum class SampleFormat { kCsv, kJsonLines };

class SampleWriter {
 public:
  SampleWriter(const AnyTheory& theory, SampleFormat format);

  // The first line of a CSV file; JSON lines have none.
  std::string header() const;

  // The line of proposal `k` of a unit, with its line end. Throws `kCorrupt` if the unit has other sums.
  std::string line(const UnitRecord& unit, std::size_t k) const;

 private:
  SampleFormat format_;
  std::vector<Observable> observables_;
  std::size_t sums_;
  std::vector<std::string> columns_;  // of numbers: log_p, log_q, sums, observables
};

}  // namespace flowloom
