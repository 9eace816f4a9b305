// Rule 8: verify_log against every way we could think of to tell another story with a log: by changing bytes of the
// closed store, and by writing a false log whose links are right.
#include "chain/verify.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "chain_cases.h"

namespace flowloom {
namespace {

using testing::HasSubstr;

// A store with this log, and the tables that a coordinator would have kept beside it.
void write_store(const std::filesystem::path& file, const RunSpec& run, const std::vector<Record>& log) {
  Store store = Store::create(file, run, "run");
  std::uint32_t versions = 0;
  for (const Record& record : log) {
    const auto* row = std::get_if<SwitchRecord>(&record);
    if (!row) continue;
    while (versions < row->version && versions < 16) {
      ++versions;
      const Sha256 sha = versions == row->version ? row->checkpoint : sha256("unused " + std::to_string(versions));
      store.add_model({.version = versions, .sha256 = sha, .size = 1, .origin = "test"}, {});
    }
    if (store.switches().empty() || store.switches().back().from < row->from) store.write({.switches = {*row}});
  }
  store.append(log);
}

class ExactnessRule8 : public testing::Test {
 protected:
  ExactnessRule8() { write_store(file_, run_, log_); }

  VerifyReport verify() { return verify_log(Store::open(file_, Store::Mode::kReadOnly), run_); }

  // The report after an SQL statement on the closed store.
  VerifyReport after(const std::string& sql) {
    SQLite::Database(file_.string(), SQLite::OPEN_READWRITE).exec(sql);
    return verify();
  }

  // The report on a log with right links that tells this story.
  VerifyReport of(const std::vector<Record>& story) {
    std::filesystem::remove(file_);
    write_store(file_, run_, story);
    return verify();
  }

  void SetUpAgain() {
    std::filesystem::remove(file_);
    write_store(file_, run_, log_);
  }

  UnitRecord& unit(std::size_t sequence) { return std::get<UnitRecord>(log_.at(sequence - 1)); }
  void erase(std::size_t sequence) { log_.erase(log_.begin() + static_cast<std::ptrdiff_t>(sequence - 1)); }
  void insert(std::size_t sequence, Record record) {
    log_.insert(log_.begin() + static_cast<std::ptrdiff_t>(sequence - 1), std::move(record));
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "chain.sqlite";
  RunSpec run_ = chain_run();
  // 20 units of 8 proposals, switches at units 0, 6 and 12. Records: 1 switch, 2 … 7 units 0 … 5, 8 switch, 9 reweigh,
  // 10 … 15 units 6 … 11, 16 switch, 17 reweigh, 18 … 25 units 12 … 19.
  std::vector<Record> log_ = make_log(run_, 20, {0, 6, 12});
};

void expect_fault_at(const VerifyReport& report, int record, const std::string& what) {
  EXPECT_FALSE(report.good);
  EXPECT_THAT(report.sentence, testing::ContainsRegex("^Record " + std::to_string(record) + "[: ]")) << report.sentence;
  EXPECT_THAT(report.sentence, HasSubstr(what));
}

TEST_F(ExactnessRule8, FindsTablesThatContradictTheLog) {
  EXPECT_THAT(after("UPDATE switches SET from_index = from_index + 8 WHERE version = 2").sentence, HasSubstr("row 2"));
  SetUpAgain();
  EXPECT_THAT(after("DELETE FROM switches WHERE version = 3").sentence, HasSubstr("row 3"));
  SetUpAgain();
  EXPECT_THAT(after("UPDATE models SET sha256 = zeroblob(32) WHERE version = 2").sentence, HasSubstr("Version 2"));
  SetUpAgain();
  EXPECT_THROW(after("UPDATE meta SET value = value || ' ' WHERE key = 'identity_text'"), Error);
}

TEST_F(ExactnessRule8, FindsNothingWrongWithAGoodLog) {
  const VerifyReport report = verify();
  EXPECT_TRUE(report.good);
  EXPECT_EQ(report.sentence, "");
  EXPECT_EQ(report.records, 25);
  EXPECT_EQ(report.proposals, 160u);
  EXPECT_EQ(report.invalid, 0u);
  std::uint64_t accepted = 0;
  Sha256 head = run_.identity();
  for (const Record& record : log_) {
    head = next_link(head, record);
    if (const auto* u = std::get_if<UnitRecord>(&record)) {
      accepted += static_cast<std::uint64_t>(std::count(u->accepted.begin(), u->accepted.end(), 1));
    }
  }
  EXPECT_EQ(report.accepted, accepted);
  EXPECT_EQ(report.head, head);
}

TEST_F(ExactnessRule8, FindsNothingWrongWithAnEmptyLog) {
  const VerifyReport report = of({});
  EXPECT_TRUE(report.good);
  EXPECT_EQ(report.head, run_.identity());
}

TEST_F(ExactnessRule8, CountsInvalidProposals) {
  std::size_t sequence = 18, k = 0;
  while (unit(sequence).accepted[k]) k == 7 ? (k = 0, ++sequence) : ++k;
  unit(sequence).data.log_p[k] = kNan;
  const VerifyReport report = of(log_);
  EXPECT_TRUE(report.good) << report.sentence;
  EXPECT_EQ(report.invalid, 1u);
}

TEST_F(ExactnessRule8, TellsItsProgress) {
  log_ = make_log(run_, 600, {0});
  std::filesystem::remove(file_);
  write_store(file_, run_, log_);
  std::vector<std::uint64_t> told;
  verify_log(Store::open(file_, Store::Mode::kReadOnly), run_,
             [&](std::uint64_t proposals) { told.push_back(proposals); });
  ASSERT_FALSE(told.empty());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
}

// A log that was cut off is whole in itself. Its head is another one; that is what `flowloom digest` is for.
TEST_F(ExactnessRule8, AShortenedLogIsWholeAndHasAnotherHead) {
  const Sha256 head = verify().head;
  const VerifyReport report = after("DELETE FROM records WHERE sequence = 25");
  EXPECT_TRUE(report.good);
  EXPECT_EQ(report.proposals, 152u);
  EXPECT_NE(report.head, head);
}

// ------------------------------------------------------------------------------------------- bytes were changed

TEST_F(ExactnessRule8, FindsAChangedNumberInAnyColumn) {
  for (const int place : {1, 64, 65, 128, 129, 384}) {  // first and last byte of log_p, log_q and the sums
    const std::string at = std::to_string(place);
    const std::string flip = "UPDATE records SET data = CAST(substr(data, 1, " + at +
                             " - 1) || x'a5' || substr(data, " + at + " + 1) AS BLOB) WHERE sequence = 12";
    expect_fault_at(after(flip), 12, "was changed");
    std::filesystem::remove(file_);
    write_store(file_, run_, log_);
  }
}

TEST_F(ExactnessRule8, FindsAFlippedFlag) {
  expect_fault_at(after("UPDATE records SET flags = x'5a' WHERE sequence = 12"), 12, "was changed");
}

TEST_F(ExactnessRule8, FindsAChangedLink) {
  expect_fault_at(after("UPDATE records SET link = zeroblob(32) WHERE sequence = 12"), 12, "was changed");
}

TEST_F(ExactnessRule8, FindsAChangedReweigh) {
  expect_fault_at(after("UPDATE records SET data = zeroblob(8) WHERE sequence = 9"), 9, "was changed");
}

TEST_F(ExactnessRule8, FindsAChangedCheckpoint) {
  expect_fault_at(after("UPDATE records SET data = zeroblob(32) WHERE sequence = 8"), 8, "was changed");
}

TEST_F(ExactnessRule8, FindsASwitchThatWasNotPlacedByTheClock) {
  expect_fault_at(after("UPDATE records SET flags = x'01' WHERE sequence = 8"), 8, "was changed");
}

TEST_F(ExactnessRule8, FindsADroppedRecord) {
  expect_fault_at(after("DELETE FROM records WHERE sequence = 12"), 13, "one is missing");
}

TEST_F(ExactnessRule8, FindsADroppedFirstRecord) {
  expect_fault_at(after("DELETE FROM records WHERE sequence = 1"), 2, "one is missing");
}

TEST_F(ExactnessRule8, FindsADroppedRecordWhoseGapWasClosed) {
  expect_fault_at(
      after("DELETE FROM records WHERE sequence = 12; UPDATE records SET sequence = sequence - 1 WHERE sequence > 12"),
      12, "");
}

TEST_F(ExactnessRule8, FindsSwappedRecords) {
  expect_fault_at(after("UPDATE records SET sequence = -1 WHERE sequence = 12; UPDATE records SET sequence = 12 WHERE "
                        "sequence = 13; UPDATE records SET sequence = 13 WHERE sequence = -1"),
                  12, "");
}

TEST_F(ExactnessRule8, FindsAnInsertedRecord) {
  expect_fault_at(
      after("UPDATE records SET sequence = -sequence - 1 WHERE sequence > 12; UPDATE records SET sequence = "
            "-sequence WHERE sequence < 0; INSERT INTO records SELECT 13, kind, first_index, version, count, "
            "flags, data, link, worker, second FROM records WHERE sequence = 12"),
      13, "");
}

TEST_F(ExactnessRule8, FindsARecordThatCannotBeDecoded) {
  const VerifyReport report = after("UPDATE records SET data = x'00' WHERE sequence = 12");
  EXPECT_FALSE(report.good);
  EXPECT_THAT(report.sentence, HasSubstr("Record 12"));
}

// The number is not part of the links, but it must be the switch's.
TEST_F(ExactnessRule8, FindsAUnitUnderAnotherVersion) {
  expect_fault_at(after("UPDATE records SET version = 1 WHERE sequence = 12"), 12, "claims another version");
}

TEST_F(ExactnessRule8, FindsAnotherIdentity) {
  run_ = chain_run(8, 2);
  const VerifyReport report = verify();
  EXPECT_FALSE(report.good);
  EXPECT_THAT(report.sentence, HasSubstr("identity"));
}

// ------------------------------------------------------------------------------- false stories with right links

TEST_F(ExactnessRule8, FindsEveryFalseDecisionWhoseLinksAreRight) {
  const std::vector<Record> truth = log_;
  for (std::size_t k = 0; k < 8; ++k) {
    log_ = truth;
    unit(12).accepted[k] ^= 1;
    expect_fault_at(of(log_), 12, "the accept decision of proposal " + std::to_string(64 + k));
  }
}

TEST_F(ExactnessRule8, FindsANumberThatWouldHaveDecidedOtherwise) {
  std::size_t accepted = 0;
  while (!unit(12).accepted[accepted]) ++accepted;
  unit(12).data.log_q[accepted] += 50;
  expect_fault_at(of(log_), 12, "the accept decision");
}

TEST_F(ExactnessRule8, LetsAnUndecidedDecisionStand) {
  // The last proposal's log-weight is moved to where the test is undecided; both decisions are good.
  Chain chain(run_.noise_key());
  for (const Record& record : log_) {
    if (const auto* u = std::get_if<UnitRecord>(&record); u && u->data.first_index < 152)
      chain.follow(u->data, u->accepted);
    if (const auto* r = std::get_if<ReweighRecord>(&record)) chain.reweigh(r->log_q);
  }
  UnitData data = unit(25).data;
  data.log_p.resize(7), data.log_q.resize(7);
  chain.advance(data);
  unit(25).data.log_q[7] = 0;
  unit(25).data.log_p[7] = chain.current()->log_w() + accept_log_u(run_.noise_key(), 159) + 2e-13;
  for (const std::uint8_t flag : {std::uint8_t{0}, std::uint8_t{1}}) {
    unit(25).accepted[7] = flag;
    const VerifyReport report = of(log_);
    EXPECT_TRUE(report.good) << report.sentence;
  }
}

TEST_F(ExactnessRule8, FindsAMissingUnit) {
  erase(12);
  expect_fault_at(of(log_), 12, "unit 9 stands where the unit of proposal 64 belongs");
}

TEST_F(ExactnessRule8, FindsARepeatedUnit) {
  insert(12, log_[11]);
  expect_fault_at(of(log_), 13, "unit 8 stands where the unit of proposal 72 belongs");
}

TEST_F(ExactnessRule8, FindsSwappedUnits) {
  std::swap(log_[11], log_[12]);
  expect_fault_at(of(log_), 12, "stands where the unit of proposal 64 belongs");
}

TEST_F(ExactnessRule8, FindsAMissingReweigh) {
  erase(9);
  expect_fault_at(of(log_), 9, "the current state was not reweighed");
}

TEST_F(ExactnessRule8, FindsAReweighThatDoesNotFollowItsSwitchAtOnce) {
  insert(9, EventRecord{48, "between them"});
  expect_fault_at(of(log_), 9, "the current state was not reweighed");
}

TEST_F(ExactnessRule8, FindsAMissingReweighAtTheEnd) {
  log_.resize(8);
  EXPECT_THAT(of(log_).sentence, HasSubstr("the current state was not reweighed"));
}

TEST_F(ExactnessRule8, FindsASecondSwitchAtTheSamePlace) {
  const Record row = log_[7], reweigh = log_[8];
  insert(10, reweigh), insert(10, row);
  expect_fault_at(of(log_), 10, "second");
}

// SQLite reads it as the number and compares it as something else.
TEST_F(ExactnessRule8, FindsAValueOfAnotherType) {
  expect_fault_at(after("UPDATE records SET first_index = CAST(first_index AS BLOB) WHERE sequence = 12"), 12,
                  "column");
  SetUpAgain();
  expect_fault_at(after("UPDATE records SET kind = CAST(kind AS BLOB) WHERE sequence = 12"), 12, "column");
  SetUpAgain();
  expect_fault_at(after("UPDATE records SET version = version + (1 << 32) WHERE sequence = 12"), 12, "column");
}

TEST_F(ExactnessRule8, FindsAReweighWithoutASwitch) {
  insert(12, log_[8]);
  expect_fault_at(of(log_), 12, "is not the current state's at a switch");
}

TEST_F(ExactnessRule8, FindsASecondReweigh) {
  insert(10, log_[8]);
  expect_fault_at(of(log_), 10, "is not the current state's at a switch");
}

TEST_F(ExactnessRule8, FindsAReweighOfAnotherState) {
  std::get<ReweighRecord>(log_[8]).index -= 1;
  expect_fault_at(of(log_), 9, "is not the current state's at a switch");
}

TEST_F(ExactnessRule8, FindsAReweighUnderAnotherVersion) {
  std::get<ReweighRecord>(log_[8]).version = 1;
  expect_fault_at(of(log_), 9, "is not the current state's at a switch");
}

TEST_F(ExactnessRule8, FindsAReweighThatIsNotFinite) {
  for (const double log_q : {kNan, kInfinity, -kInfinity}) {
    std::get<ReweighRecord>(log_[8]).log_q = log_q;
    expect_fault_at(of(log_), 9, "is not finite");
  }
}

TEST_F(ExactnessRule8, FindsAReweighThatWouldHaveDecidedOtherwise) {
  std::get<ReweighRecord>(log_[8]).log_q -= 50;
  const VerifyReport report = of(log_);
  EXPECT_FALSE(report.good);
  EXPECT_THAT(report.sentence, HasSubstr("the accept decision of proposal"));
}

TEST_F(ExactnessRule8, FindsAMissingSwitch) {
  erase(9);
  erase(8);
  expect_fault_at(of(log_), 8, "claims another version");
}

TEST_F(ExactnessRule8, FindsASwitchAtAnotherPlace) {
  std::get<SwitchRecord>(log_[7]).from += 8;
  expect_fault_at(of(log_), 8, "the switch at proposal 56 stands at proposal 48");
}

TEST_F(ExactnessRule8, FindsAUnitBeforeAnySwitch) {
  erase(1);
  expect_fault_at(of(log_), 1, "before any switch");
}

TEST_F(ExactnessRule8, FindsAUnitOfAnotherSize) {
  UnitData& data = unit(25).data;
  data.log_p.resize(4), data.log_q.resize(4), data.sums.resize(16);
  unit(25).accepted.resize(4);
  expect_fault_at(of(log_), 25, "does not have 8 proposals");
}

TEST_F(ExactnessRule8, FindsAMissingColumn) {
  unit(25).data.sums.resize(24);
  expect_fault_at(of(log_), 25, "columns");
}

TEST_F(ExactnessRule8, FindsAnEventAtAnotherPlace) {
  insert(12, EventRecord{160, "the length was chosen by the data"});
  expect_fault_at(of(log_), 12, "event");
}

TEST_F(ExactnessRule8, StopsAtTheFirstFault) {
  unit(12).accepted[0] ^= 1;
  unit(14).accepted[0] ^= 1;
  const VerifyReport report = of(log_);
  EXPECT_EQ(report.records, 12);
  EXPECT_EQ(report.proposals, 64u);
}

}  // namespace
}  // namespace flowloom
