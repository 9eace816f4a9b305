// The instruction sets that the lane engine can run on. All of them give the same bits.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flow/engine.h"

namespace flowloom::lanes {

struct InstructionSet {
  std::string name;  // "avx512", "avx2", "neon", "portable"
  std::unique_ptr<Model> (*make_model)(const AnyTheory& theory, const AnyFlow& architecture,
                                       std::span<const double> weights, Precision precision);
  std::unique_ptr<Objective> (*make_objective)(const AnyTheory& theory, const AnyFlow& architecture,
                                               Precision precision);
};

// Those of this build that this processor has, the fastest first; the last is "portable".
std::vector<InstructionSet> instruction_sets();

// Those with vectors, by Highway (vector.cc), and the one without (portable.cc).
std::vector<InstructionSet> vector_instruction_sets();
InstructionSet portable_instruction_set();

}  // namespace flowloom::lanes
