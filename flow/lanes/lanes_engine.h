// The lane engine: samples and inverts flows on the CPU's vectors, without LibTorch. A sample's bits depend on its address and
// the weights alone: not on the instruction set, the size of a call or the place in it.
#pragma once

#include <memory>

#include "flow/engine.h"
#include "flow/lanes/instruction_set.h"

namespace flowloom {

// On this instruction set; without one, on the fastest that the processor has.
std::shared_ptr<const Engine> lanes_engine();
std::shared_ptr<const Engine> lanes_engine(const lanes::InstructionSet& instruction_set);

// Of every engine that gives these bits, whatever it runs on. Raised with any of them.
inline constexpr char kLanesBuild[] = "lanes 1";

// For engines without gradients: throws `kInvalidInput`.
[[noreturn]] void refuse_to_train();

}  // namespace flowloom
