// What a run pins so that its numbers mean one thing: engine, precision, revision.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

namespace flowloom {

// kMixed: networks in float32 on frozen variables rounded to float32; field, transforms, log_det, log_q,
// action and observables in float64. kFloat64: everything in float64.
enum class Precision { kMixed, kFloat64 };

// Raised by any change of the bits of log_p, log_q, sums or fields that a released engine produces. (A training's bits
// may change from release to release: its state names the build, and a checkpoint is what it is.)
inline constexpr int kNumericsRevision = 2;

// Raised by any change of the bits of a gradient by lanes, so that the workers of one training step agree.
inline constexpr int kGradientRevision = 2;

// Two evaluations of one log_p or log_q near `value` agree to this: by different engines or builds in this precision,
// and by one in this precision and one in float64. The second part is for sums of many or large terms. In float32 it is
// what rounding in the networks leaves of log_p far from where the action is small: 3.4e-6 of it at most for 3600
// random flows, untrained, at m2 = -4, lambda = 8 and up to 512 sites (-1.06e6 with a gap of 3.6).
inline double log_weight_tolerance(Precision precision, double value = 0) {
  return precision == Precision::kMixed ? 1e-3 + 1e-5 * std::abs(value) : 1e-9 + 1e-13 * std::abs(value);
}

// A field that flow(inverse(field)) misses by more is not inverted (docs/exactness.md, rule 7): forward and inverse
// agree to 1e-10, in mixed precision to 1e-6 where a value sits on a rounding boundary of float32.
constexpr double round_trip_limit(Precision precision) { return precision == Precision::kMixed ? 1e-5 : 1e-8; }

struct Numerics {
  std::string engine;  // "lanes", "torch"
  Precision precision = Precision::kMixed;
  int revision = kNumericsRevision;

  bool operator==(const Numerics&) const = default;
};

// By how much two draws of one unit may differ, in log_p and log_q, relative to 1 + |value|: 0, none, for the lanes,
// whose bits are the same everywhere (docs/exactness.md, rule 9).
inline double redraw_tolerance(const Numerics& numerics) {
  return numerics.engine == "lanes" ? 0 : log_weight_tolerance(numerics.precision);
}

// Whether two draws of one log_p or log_q are the same within that: with 0, if all their bits are. A reweigh is held to
// log_weight_tolerance instead, also by lanes: the state that is rebuilt for it need only be the same configuration,
// because the log_q that the chain takes from it comes by the inverse, which agrees with the forward direction no
// better.
inline bool same_draw(double one, double other, double tolerance) {
  if (tolerance == 0) return std::bit_cast<std::uint64_t>(one) == std::bit_cast<std::uint64_t>(other);
  return one == other || (std::isnan(one) && std::isnan(other)) ||
         std::abs(one - other) <= tolerance * (1 + std::abs(one));
}

inline const char* to_string(Precision precision) { return precision == Precision::kMixed ? "mixed" : "float64"; }

}  // namespace flowloom
