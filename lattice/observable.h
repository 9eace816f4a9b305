// What a theory measures: sums that every proposal carries into the log, observables computed from them, and what takes
// a configuration (lattice/measurements.h).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace flowloom {

// The name of log Z, Z the integral of exp(-S) by the measure that log_q is a density of: no observable, but known
// exactly of some theories.
inline constexpr const char* kLogZ = "ln_z";

// One column of the log: a sum of a local density over all sites, or a function of the whole field.
struct SumInfo {
  std::string name;
  std::string sentence;
};

// The sums of one of `count` configurations, which lie in columns.
class SumsOf {
 public:
  SumsOf(const double* first, std::size_t count) : first_(first), count_(count) {}
  double operator[](std::size_t sum) const { return first_[sum * count_]; }

 private:
  const double* first_;
  std::size_t count_;
};

// Something whose mean over the chain is a physical result.
struct Quantity {
  std::string name;      // as in a run file and in CSV headers: "chi2"
  std::string symbol;    // as people write it: "χ₂"
  std::string sentence;  // definition and normalisation
};

// A function of one configuration's sums and log_p.
struct Observable : Quantity {
  // `of(log_p, sums)` takes a double and what `SumsOf` is.
  template <class Of>
  Observable(std::string name_, std::string symbol_, std::string sentence_, Of of)
      : Quantity{std::move(name_), std::move(symbol_), std::move(sentence_)},
        values([of = std::move(of)](std::span<const double> log_p, const double* sums, double* out) {
          const std::size_t count = log_p.size();
          for (std::size_t i = 0; i < count; ++i) out[i] = of(log_p[i], SumsOf(sums + i, count));
        }) {}

  double value(double log_p, std::span<const double> sums) const {
    double result;
    values({&log_p, 1}, sums.data(), &result);
    return result;
  }

  // Of all configurations of a unit at once, `sums` being [sum][configuration], into `out`, [configuration].
  std::function<void(std::span<const double> log_p, const double* sums, double* out)> values;
};

}  // namespace flowloom
