// A unit of the chain as a coordinator sends it (Chain.StreamStates). Pure.
#pragma once

#include <string>

#include "chain/record.h"
#include "flowloom/v1/chain.pb.h"

namespace flowloom {

// Left out: what is not of the unit (columns, seen), and by whose word it stands.
flowloom::v1::StatesReply states_reply(const UnitRecord& unit);

// The unit again. `sender` begins the sentence of the `kCorrupt` that is thrown for arrays that do not fit together.
UnitRecord unit_of(const flowloom::v1::StatesReply& reply, const std::string& sender);

}  // namespace flowloom
