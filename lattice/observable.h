// What a theory measures: sums that every proposal carries into the log, and observables computed from them.
#pragma once

#include <functional>
#include <span>
#include <string>

namespace flowloom {

// One column of the log: a sum of a local density over all sites.
struct SumInfo {
  std::string name;
  std::string sentence;
};

// A function of one configuration's sums and log_p. Its mean over the chain is the physical result.
struct Observable {
  std::string name;      // as in a run file and in CSV headers: "chi2"
  std::string symbol;    // as people write it: "χ₂"
  std::string sentence;  // definition and normalisation
  std::function<double(double log_p, std::span<const double> sums)> value;
};

}  // namespace flowloom
