// What a run pins so that its numbers mean one thing: engine, precision, revision.
#pragma once

#include <string>

namespace flowloom {

// kMixed: networks in float32 on frozen variables rounded to float32; field, transforms, log_det, log_q,
// action and observables in float64. kFloat64: everything in float64.
enum class Precision { kMixed, kFloat64 };

// Raised by any change of the bits that a released engine produces.
inline constexpr int kNumericsRevision = 1;

// Two evaluations of one log-weight by different engines, builds or instruction sets agree to this, absolutely.
constexpr double log_weight_tolerance(Precision precision) { return precision == Precision::kMixed ? 1e-3 : 1e-9; }

struct Numerics {
  std::string engine;  // "torch", "scalar"
  Precision precision = Precision::kMixed;
  int revision = kNumericsRevision;

  bool operator==(const Numerics&) const = default;
};

inline const char* to_string(Precision precision) { return precision == Precision::kMixed ? "mixed" : "float64"; }

}  // namespace flowloom
