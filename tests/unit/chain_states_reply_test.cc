#include "chain/states_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "chain_cases.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

UnitRecord some_unit() {
  UnitRecord unit{random_unit(chain_run(), 3, 2), {1, 0, 0, 1, 0, 1, 1, 0}};
  unit.data.log_p[1] = canonical(kNan);
  unit.data.log_q[2] = -kInfinity;
  return unit;
}

TEST(StatesReply, GivesBackEveryBitOfTheUnit) {
  const UnitRecord unit = some_unit(), back = unit_of(states_reply(unit), "The coordinator");
  EXPECT_EQ(canonical_bytes(back), canonical_bytes(unit));
  EXPECT_EQ(back.data.version, 2u);
}

TEST(StatesReply, IsRefusedWhereItsArraysDoNotFitTogether) {
  using flowloom::v1::StatesReply;
  for (const auto& change : std::vector<std::function<void(StatesReply&)>>{
           [](StatesReply& reply) { reply.set_count(0); }, [](StatesReply& reply) { reply.set_count(7); },
           [](StatesReply& reply) { reply.mutable_log_p()->pop_back(); },
           [](StatesReply& reply) { reply.mutable_log_q()->append(8, 'x'); },
           [](StatesReply& reply) { reply.mutable_sums()->pop_back(); },
           [](StatesReply& reply) { reply.mutable_accepted()->pop_back(); },
           [](StatesReply& reply) { reply.mutable_accepted()->front() = 2; }}) {
    StatesReply reply = states_reply(some_unit());
    change(reply);
    try {
      unit_of(reply, "The coordinator");
      ADD_FAILURE() << "taken: " << reply.ShortDebugString();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
      EXPECT_THAT(error.what(), testing::StartsWith("The coordinator sent a unit at proposal 24"));
    }
  }
}

}  // namespace
}  // namespace flowloom
