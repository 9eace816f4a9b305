// The lane engine: samples and inverts flows on the CPU's vectors, without LibTorch. A sample's bits depend on its
// address and the weights alone: not on the instruction set, the size of a call or the place in it. The thread that
// calls must compute as it was started: subnormal numbers not flushed to zero, rounding to nearest.
#pragma once

#include <memory>

#include "flow/engine.h"
#include "flow/lanes/instruction_set.h"

namespace flowloom {

// On this instruction set; without one, on the fastest that the processor has.
std::shared_ptr<const Engine> lanes_engine();
std::shared_ptr<const Engine> lanes_engine(const lanes::InstructionSet& instruction_set);

// Of every engine that gives these bits, whatever it runs on; kNumericsRevision is their version.
inline constexpr char kLanesBuild[] = "lanes";

// Throws `kConflict` unless `model`, of `device`, gives the bits of `reference` for a few draws.
void prove_bits(const Model& model, const Model& reference, const std::string& device);

}  // namespace flowloom
