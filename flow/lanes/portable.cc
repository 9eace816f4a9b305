#include "flow/lanes/prelude.h"

namespace flowloom::lanes {
namespace portable {

#include "flow/lanes/portable_lanes.inl"

#include "flow/lanes/mathematics.inl"

#include "flow/lanes/model.inl"

}  // namespace portable

InstructionSet portable_instruction_set() { return {"portable", portable::make_model}; }

}  // namespace flowloom::lanes
