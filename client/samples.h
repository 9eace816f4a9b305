// The chain as lines of CSV or JSON. Pure.
//
// One line is one chain step i (and one proposal: the step tests it). Columns:
//   index     i
//   state     the proposal that the chain is in after the step: the name of its configuration
//   version   under which the configuration was drawn
//   accepted  1 if proposal i became the state
// and then the numbers of one configuration: log_p, log_q (as drawn), the sums of the log, and the theory's observables
// computed from them. A sum that has the name of an observable gets the suffix "_sum".
//
// In the view kChain they are the state's, so that the mean of a column is the chain's; in kProposals, proposal i's,
// accepted or not. Before the first valid proposal there is no state.
//
// Numbers have 17 significant digits, so they read back to the same doubles. In CSV those that are not finite are nan,
// inf or -inf and a missing state is empty; in JSON all these are null.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chain/record.h"
#include "lattice/theories.h"

namespace flowloom {

enum class SampleFormat { kCsv, kJsonLines };
enum class SampleView { kChain, kProposals };

class SampleWriter {
 public:
  SampleWriter(const AnyTheory& theory, SampleFormat format, SampleView view);

  // The first line of a CSV file; JSON lines have none.
  std::string header() const;

  // Takes in proposal `k` of a unit; to be called in order, from an accepted proposal on or from the first of all.
  // Throws `kCorrupt` if the unit has other sums.
  void step(const UnitRecord& unit, std::size_t k);

  // The line of the last step, with its line end.
  std::string line() const;

 private:
  struct Draw {  // a configuration
    std::uint64_t index = 0;
    std::uint32_t version = 0;
    std::vector<double> numbers;  // log_p, log_q, sums
  };

  SampleFormat format_;
  SampleView view_;
  std::vector<Observable> observables_;
  std::size_t sums_;
  std::vector<std::string> columns_;  // of numbers: log_p, log_q, sums, observables
  Draw proposal_;
  bool accepted_ = false;
  std::optional<Draw> state_;
};

}  // namespace flowloom
