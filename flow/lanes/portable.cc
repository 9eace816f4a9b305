#include "flow/lanes/prelude.h"

namespace flowloom::lanes {
namespace portable {

#include "math/lanes/portable_lanes.inl"

#include "flow/lanes/instruction_set.inl"

}  // namespace portable

InstructionSet portable_instruction_set() { return {"portable", portable::make_model, portable::make_objective}; }

}  // namespace flowloom::lanes
