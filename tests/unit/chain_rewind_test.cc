// A log that was rewound: what was left behind stays in it and is not of the chain any more.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chain/log_state.h"
#include "chain/verify.h"
#include "chain_cases.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RewindTest : public testing::Test {
 protected:
  // Ten units of eight proposals, with switches at units 0 and 4; then back to unit `to`, and the same units again.
  void rewind_to(std::uint64_t to, std::uint64_t units_again) {
    const auto log = make_log(run_, 10, {0, 4});
    store_.append(log);
    store_.append({RewindRecord{8 * to, "a worker was wrong"}});
    std::vector<Record> again;
    bool kept = true;  // what lies before the rewind's place
    for (const Record& record : log) {
      const auto* unit = std::get_if<UnitRecord>(&record);
      if (unit && unit->data.first_index >= 8 * (to + units_again)) break;
      if (!kept) again.push_back(record);
      if (unit && unit->data.first_index + 8 == 8 * to) kept = false;
    }
    store_.append(again);
    write_switches(log);
  }
  void write_switches(const std::vector<Record>& log) {
    for (const Record& record : log) {
      const auto* row = std::get_if<SwitchRecord>(&record);
      if (!row) continue;
      store_.write({.switches = {*row}});
      store_.add_model({row->version, row->checkpoint, 0, 0, 0, "", true}, {});
    }
  }
  std::vector<std::uint64_t> units_from(std::uint64_t index) {
    std::vector<std::uint64_t> numbers;
    for (const UnitRecord& unit : store_.units(index, 100)) numbers.push_back(unit.data.first_index / 8);
    return numbers;
  }
  VerifyReport verify() { return verify_log(store_, run_); }

  TemporaryDirectory directory_;
  RunSpec run_ = chain_run();
  Store store_ = Store::create(directory_ / "chain.sqlite", run_, "run");
};

TEST_F(RewindTest, TheChainGoesOnFromItsPlace) {
  rewind_to(6, 2);
  EXPECT_EQ(store_.frontier(), 64u);
  EXPECT_THAT(units_from(0), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(units_from(48), ElementsAre(6, 7));
  EXPECT_THAT(units_from(72), ElementsAre()) << "unit 9 was left behind";
}

TEST_F(RewindTest, IsReadTheSameWayWhenItIsOpenedAgain) {
  rewind_to(6, 2);
  const auto before = units_from(0);
  store_ = Store::create(directory_ / "other.sqlite", run_, "run");
  store_ = Store::open(directory_ / "chain.sqlite", Store::Mode::kReadOnly);
  EXPECT_EQ(units_from(0), before);
  EXPECT_EQ(store_.frontier(), 64u);
}

TEST_F(RewindTest, BeforeASwitchMakesTheSwitchAgain) {
  rewind_to(3, 4);
  std::size_t switches = 0;
  store_.for_each(1, [&](const LinkedRecord& linked) {
    switches += std::holds_alternative<SwitchRecord>(linked.record);
    return true;
  });
  EXPECT_EQ(switches, 2u);
  EXPECT_TRUE(verify().good) << verify().sentence;
}

TEST_F(RewindTest, IsGoodAndSaysWhatWasLeftBehind) {
  rewind_to(6, 2);
  const VerifyReport report = verify();
  EXPECT_TRUE(report.good) << report.sentence;
  EXPECT_EQ(report.proposals, 64u);
  EXPECT_EQ(report.left_behind, 32u);
  std::uint64_t accepted = 0;
  for (const UnitRecord& unit : store_.units(0, 100)) {
    accepted += static_cast<std::uint64_t>(std::count(unit.accepted.begin(), unit.accepted.end(), 1));
  }
  EXPECT_EQ(report.accepted, accepted);
  EXPECT_EQ(report.head, store_.head());
}

TEST_F(RewindTest, OfARewindIsGoodToo) {
  rewind_to(6, 2);
  const auto log = make_log(run_, 10, {0, 4});
  store_.append({RewindRecord{40, "again"}});
  store_.append({log.begin() + 8, log.begin() + 11});  // units 5, 6, 7
  EXPECT_THAT(units_from(0), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  const VerifyReport report = verify();
  EXPECT_TRUE(report.good) << report.sentence;
  EXPECT_EQ(report.left_behind, 56u);
}

TEST_F(RewindTest, ToTheBeginningLeavesEverythingBehind) {
  rewind_to(0, 0);
  EXPECT_EQ(store_.frontier(), 0u);
  EXPECT_THAT(units_from(0), ElementsAre());
}

TEST_F(RewindTest, BeyondTheFrontierIsAFault) {
  store_.append(make_log(run_, 2, {0}));
  store_.append({RewindRecord{24, ""}});
  EXPECT_THAT(verify().sentence, HasSubstr("leads nowhere"));
}

TEST_F(RewindTest, ToAUnitThatWasLeftBehindIsAFault) {
  rewind_to(6, 1);
  store_.append({RewindRecord{64, ""}});
  EXPECT_THAT(verify().sentence, HasSubstr("leads nowhere"));
}

TEST_F(RewindTest, ToTheMiddleOfAUnitIsAFault) {
  store_.append(make_log(run_, 2, {0}));
  store_.append({RewindRecord{12, ""}});
  EXPECT_THAT(verify().sentence, HasSubstr("leads nowhere"));
}

TEST_F(RewindTest, ChangedInWhatWasLeftBehindIsFound) {
  rewind_to(6, 2);
  store_ = Store::create(directory_ / "other.sqlite", run_, "run");
  SQLite::Database((directory_ / "chain.sqlite").string(), SQLite::OPEN_READWRITE)
      .exec("UPDATE records SET data = zeroblob(length(data)) WHERE sequence = 11");
  store_ = Store::open(directory_ / "chain.sqlite", Store::Mode::kReadOnly);
  EXPECT_THAT(verify().sentence, HasSubstr("Record 11 was changed"));
}

TEST_F(RewindTest, ASnapshotOfWhatWasLeftBehindIsNotUsed) {
  const auto log = make_log(run_, 10, {0, 4});
  store_.append({log.begin(), log.begin() + 5});
  store_.write({.snapshot = "early", .records = {log.begin() + 5, log.end() - 1}});
  store_.write({.snapshot = "late", .records = {log.back()}});
  EXPECT_EQ(store_.snapshot()->state, "late");
  store_.append({RewindRecord{48, ""}});
  ASSERT_TRUE(store_.snapshot());
  EXPECT_EQ(store_.snapshot()->state, "early");
  EXPECT_EQ(store_.snapshot()->sequence, 5);
}

// ------------------------------------------------------------------------------------------------------ snapshots

TEST_F(RewindTest, ADamagedSnapshotGivesWayToTheOneBefore) {
  const auto log = make_log(run_, 4, {0});
  for (std::size_t i = 0; i < log.size(); ++i) {
    store_.write({.snapshot = "state " + std::to_string(i), .records = {log[i]}});
  }
  store_ = Store::create(directory_ / "other.sqlite", run_, "run");
  {
    SQLite::Database database((directory_ / "chain.sqlite").string(), SQLite::OPEN_READWRITE);
    EXPECT_EQ(database.execAndGet("SELECT count(*) FROM snapshots").getInt(), 2) << "older ones are not kept";
    database.exec("UPDATE snapshots SET state = x'00' WHERE sequence = 4");
  }
  store_ = Store::open(directory_ / "chain.sqlite", Store::Mode::kReadOnly);
  ASSERT_TRUE(store_.snapshot());
  EXPECT_EQ(store_.snapshot()->state, "state 3");
}

TEST(LogState, ComesBackAsItWas) {
  const RunSpec run = chain_run();
  const auto log = make_log(run, 40, {0, 10});
  LogState whole(run);
  for (const Record& record : log) whole.add(record);
  for (std::size_t cut = 0; cut <= log.size(); cut += 7) {
    LogState first(run), second(run);
    for (std::size_t i = 0; i < cut; ++i) first.add(log[i]);
    ASSERT_TRUE(second.load(first.save()));
    for (std::size_t i = cut; i < log.size(); ++i) second.add(log[i]);
    EXPECT_EQ(second.save(), whole.save()) << "cut at " << cut;
    EXPECT_EQ(second.frontier(), 320u);
    EXPECT_EQ(second.switches(), 2u);
  }
}

TEST(LogState, RefusesAnotherRunsAndEveryTruncation) {
  const RunSpec run = chain_run();
  LogState state(run);
  for (const Record& record : make_log(run, 4, {0})) state.add(record);
  const std::string bytes = state.save();
  LogState other(chain_run(8, 2));
  EXPECT_FALSE(other.load(bytes));
  for (std::size_t size = 0; size < bytes.size(); size += 13) {
    LogState cut(run);
    EXPECT_FALSE(cut.load(std::string_view(bytes).substr(0, size)));
    EXPECT_EQ(cut.save(), LogState(run).save()) << "it is as new";
  }
  LogState longer(run);
  EXPECT_FALSE(longer.load(bytes + "x"));
}

}  // namespace
}  // namespace flowloom
