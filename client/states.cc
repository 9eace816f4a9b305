#include "client/states.h"

#include <algorithm>

#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {

UnitRecord unit_of(const flowloom::v1::StatesReply& reply, const std::string& sender) {
  const std::size_t count = reply.count();
  const std::size_t column = count * sizeof(double);
  const auto is_flag = [](char flag) { return flag == 0 || flag == 1; };
  if (count == 0 || reply.accepted().size() != count || reply.log_p().size() != column ||
      reply.log_q().size() != column || reply.sums().size() % column != 0 ||
      !std::all_of(reply.accepted().begin(), reply.accepted().end(), is_flag)) {
    throw Error(ErrorCode::kCorrupt, sender + " sent a unit at proposal " + std::to_string(reply.first_index()) +
                                         " whose arrays do not fit together.");
  }
  UnitRecord unit;
  unit.data = {reply.first_index(), reply.version(), unpack(reply.log_p()), unpack(reply.log_q()),
               unpack(reply.sums())};
  unit.accepted.assign(reply.accepted().begin(), reply.accepted().end());
  return unit;
}

}  // namespace flowloom
