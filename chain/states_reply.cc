#include "chain/states_reply.h"

#include <algorithm>

#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {

flowloom::v1::StatesReply states_reply(const UnitRecord& unit) {
  flowloom::v1::StatesReply reply;
  reply.set_first_index(unit.data.first_index);
  reply.set_count(static_cast<std::uint32_t>(unit.data.count()));
  reply.set_version(unit.data.version);
  reply.set_accepted(unit.accepted.data(), unit.accepted.size());
  reply.set_log_p(pack(unit.data.log_p));
  reply.set_log_q(pack(unit.data.log_q));
  reply.set_sums(pack(unit.data.sums));
  return reply;
}

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
