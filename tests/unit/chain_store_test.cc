#include "chain/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "chain/verify.h"
#include "chain_cases.h"

namespace flowloom {
namespace {

using testing::HasSubstr;

// No file may grow beyond `bytes` while this lives: a disk without room.
class FullDisk {
 public:
  explicit FullDisk(std::uintmax_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{static_cast<rlim_t>(bytes), before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

template <class Work>
Error error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error(ErrorCode::kInternal, "");
}

class StoreTest : public testing::Test {
 protected:
  Store create(const std::string& run_id = "run") { return Store::create(file_, run_, run_id); }
  Store open(Store::Mode mode = Store::Mode::kReadWrite) { return Store::open(file_, mode); }
  void sql(const std::string& text) { SQLite::Database(file_.string(), SQLite::OPEN_READWRITE).exec(text); }

  // What `work` returns in another process; a thrown Error counts as 100 + its code.
  template <class Work>
  int in_another_process(Work work) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 99;
      try {
        code = work();
      } catch (const Error& error) {
        code = 100 + static_cast<int>(error.code());
      } catch (...) {
      }
      ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_.path() / "chain.sqlite";
  RunSpec run_ = chain_run();
  std::vector<Record> log_ = make_log(run_, 30, {0, 10});
};

// ---------------------------------------------------------------------------------------------- create and open

TEST_F(StoreTest, IsEmptyWhenNew) {
  const Store store = create();
  EXPECT_EQ(store.run_id(), "run");
  EXPECT_EQ(store.identity(), run_.identity());
  EXPECT_EQ(store.head(), run_.identity());
  EXPECT_EQ(store.size(), 0);
  EXPECT_EQ(store.frontier(), 0u);
  EXPECT_EQ(store.pinned_build(), "");
  EXPECT_TRUE(store.models().empty());
  EXPECT_TRUE(store.switches().empty());
}

TEST_F(StoreTest, IsNeverOverwritten) {
  {
    Store store = create();
    store.append(log_);
  }
  EXPECT_EQ(error_of([&] { create(); }).code(), ErrorCode::kConflict);
  EXPECT_EQ(open().size(), static_cast<std::int64_t>(log_.size()));
}

TEST_F(StoreTest, LeavesNothingButItselfBehindWhenItIsMade) {
  {
    create();
  }
  EXPECT_THROW(create(), Error);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::ElementsAre("chain.sqlite"));
}

TEST_F(StoreTest, OfManyThatAreMadeAtOnceOneIsMade) {
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 1;
      try {
        create("run " + std::to_string(i));
        code = 0;
      } catch (...) {
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  int made = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    made += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  EXPECT_EQ(made, 1);
  EXPECT_THAT(open().run_id(), HasSubstr("run "));
}

TEST_F(StoreTest, IsNotFoundWhereThereIsNone) {
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr(directory_.path().string()));
}

TEST_F(StoreTest, RefusesASecondOwner) {
  const Store store = create();
  for (const auto mode : {Store::Mode::kReadWrite, Store::Mode::kReadOnly}) {
    const Error error = error_of([&] { open(mode); });
    EXPECT_EQ(error.code(), ErrorCode::kInUse);
    EXPECT_THAT(error.what(), HasSubstr("owned by another process"));
  }
}

TEST_F(StoreTest, RefusesASecondOwnerInAnotherProcess) {
  Store store = create();
  store.append(log_);
  EXPECT_EQ(in_another_process([&] { return open().size() > 0 ? 0 : 1; }), 100 + static_cast<int>(ErrorCode::kInUse));
}

TEST_F(StoreTest, IsFreeWhenItsOwnerIsGone) {
  {
    create();
  }
  EXPECT_EQ(in_another_process([&] { return open().size() == 0 ? 0 : 1; }), 0);
}

TEST_F(StoreTest, CannotBeWrittenByAReader) {
  {
    create().append(log_);
  }
  Store store = open(Store::Mode::kReadOnly);
  EXPECT_EQ(store.size(), static_cast<std::int64_t>(log_.size()));
  EXPECT_EQ(error_of([&] { store.append(log_); }).code(), ErrorCode::kUnavailable);
  EXPECT_EQ(store.size(), static_cast<std::int64_t>(log_.size()));
}

TEST_F(StoreTest, RefusesAForeignSqliteFile) {
  SQLite::Database(file_.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE t(x)");
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), HasSubstr("not a Flowloom store"));
}

TEST_F(StoreTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(file_) << std::string(5000, 'x');
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), HasSubstr("restore it from a backup"));
}

TEST_F(StoreTest, RefusesAnEmptyFile) {
  std::ofstream(file_).flush();
  EXPECT_EQ(error_of([&] { open(); }).code(), ErrorCode::kCorrupt);
}

TEST_F(StoreTest, RefusesATruncatedFileAtTheLatestWhenItIsRead) {
  {
    create().append(make_log(run_, 400, {0}));
  }
  const auto size = std::filesystem::file_size(file_);
  for (const auto left : {size / 8, size / 2, size - 4096}) {
    std::filesystem::resize_file(file_, left);
    const Error error = error_of([&] { open().for_each(1, [](const LinkedRecord&) { return true; }); });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << left << " of " << size << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr(file_.string()));
  }
}

TEST_F(StoreTest, RefusesAnotherFormatAndNamesBoth) {
  {
    create();
  }
  sql("PRAGMA user_version=5");
  const Error error = error_of([&] { open(); });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr("has store format 5; this build reads format 4"));
}

TEST_F(StoreTest, RefusesAnotherApplication) {
  {
    create();
  }
  sql("PRAGMA application_id=1");
  EXPECT_EQ(error_of([&] { open(); }).code(), ErrorCode::kCorrupt);
}

TEST_F(StoreTest, TellsOthersWhatItIs) {
  {
    create();
  }
  SQLite::Database database(file_.string());
  EXPECT_EQ(database.execAndGet("PRAGMA application_id").getInt(), 0x466c6f6d);
  EXPECT_EQ(database.execAndGet("PRAGMA user_version").getInt(), 4);
  EXPECT_EQ(database.execAndGet("PRAGMA journal_mode").getString(), "delete");
  EXPECT_EQ(database.execAndGet("SELECT group_concat(name) FROM columns").getString(),
            "hopping,phi2_sum,phi4_sum,phi_sum");
  EXPECT_EQ(database.execAndGet("SELECT value FROM meta WHERE key = 'identity_text'").getString(),
            run_.identity_text());
}

// ------------------------------------------------------------------------------------------------------ records

TEST_F(StoreTest, GivesRecordsBackInOrderAndBitForBit) {
  log_.push_back(EventRecord{240, "something happened, €"});
  auto& unit = std::get<UnitRecord>(log_[3]);
  unit.data.log_p = {kNan, kInfinity, -kInfinity, -0.0, 5e-324, 1.0, 2.0, 3.0};
  {
    Store store = create();
    store.append({log_.begin(), log_.begin() + 7});
    store.append({log_.begin() + 7, log_.end()});
  }
  std::size_t count = 0;
  Sha256 link = run_.identity();
  open().for_each(1, [&](const LinkedRecord& linked) {
    EXPECT_EQ(linked.sequence, static_cast<std::int64_t>(count + 1));
    EXPECT_EQ(canonical_bytes(linked.record), canonical_bytes(log_[count]));
    link = next_link(link, log_[count]);
    EXPECT_EQ(linked.link, link);
    ++count;
    return true;
  });
  EXPECT_EQ(count, log_.size());
}

TEST_F(StoreTest, KeepsVersionsFlagsAndPlacesOfRecords) {
  {
    create().append(
        {SwitchRecord{8, 3, sha256("c"), Placement::kClock}, ReweighRecord{5, 3, -1.5}, EventRecord{8, "text"}});
  }
  std::vector<Record> back;
  open().for_each(1, [&](const LinkedRecord& linked) {
    back.push_back(linked.record);
    return true;
  });
  const auto& row = std::get<SwitchRecord>(back.at(0));
  EXPECT_TRUE(row.from == 8 && row.version == 3 && row.placement == Placement::kClock && row.checkpoint == sha256("c"));
  const auto& reweigh = std::get<ReweighRecord>(back.at(1));
  EXPECT_TRUE(reweigh.index == 5 && reweigh.version == 3 && reweigh.log_q == -1.5);
  EXPECT_EQ(std::get<EventRecord>(back.at(2)).text, "text");
}

TEST_F(StoreTest, HasTheHeadOfTheLinksAlsoAfterReopening) {
  Sha256 head = run_.identity();
  for (const Record& record : log_) head = next_link(head, record);
  {
    Store store = create();
    store.append(log_);
    EXPECT_EQ(store.head(), head);
  }
  const Store store = open();
  EXPECT_EQ(store.head(), head);
  EXPECT_EQ(store.frontier(), 240u);
  EXPECT_EQ(store.size(), static_cast<std::int64_t>(log_.size()));
}

TEST_F(StoreTest, HasAHeadThatDoesNotDependOnRunIdNameTimeOrTransactions) {
  Store store = create("one run");
  store.append(log_);
  const RunSpec other_name = chain_run(8, 1, "another name");
  Store other = Store::create(directory_.path() / "other.sqlite", other_name, "another run");
  other.begin_epoch();
  other.add_event("policy", "something");
  for (const Record& record : log_) other.append({record});
  EXPECT_EQ(store.head(), other.head());
}

TEST_F(StoreTest, HasAnotherHeadForAnotherIdentity) {
  Store store = create();
  Store other = Store::create(directory_.path() / "other.sqlite", chain_run(8, 2), "run");
  store.append(log_);
  other.append(log_);
  EXPECT_NE(store.head(), other.head());
}

TEST_F(StoreTest, WalksFromAnyRecordUntilTold) {
  Store store = create();
  store.append(log_);
  std::vector<std::int64_t> seen;
  store.for_each(5, [&](const LinkedRecord& linked) {
    seen.push_back(linked.sequence);
    return seen.size() < 3;
  });
  EXPECT_THAT(seen, testing::ElementsAre(5, 6, 7));
}

TEST_F(StoreTest, GivesTheUnitsThatHoldAnIndexAndAbove) {
  Store store = create();
  store.append(log_);
  for (const std::uint64_t index : {0, 7, 8, 79, 80, 81, 239}) {
    const auto units = store.units(index, 3);
    ASSERT_FALSE(units.empty()) << index;
    EXPECT_EQ(units[0].data.first_index, index / 8 * 8);
    EXPECT_EQ(units.size(), std::min<std::size_t>(3, 30 - index / 8));
    for (std::size_t i = 1; i < units.size(); ++i) {
      EXPECT_EQ(units[i].data.first_index, units[0].data.first_index + 8 * i);
    }
  }
}

TEST_F(StoreTest, ChoosesUnitsByTheirPlaceAndWhoDrewThem) {
  for (Record& record : log_) {
    if (auto* unit = std::get_if<UnitRecord>(&record)) unit->worker = 1 + unit->data.first_index / 8 % 2;
  }
  Store store = create();
  store.append(log_);
  const auto second = [](const UnitPlace& place) { return place.worker == 2; };
  const auto units = store.choose_units(16, 3, second);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].data.first_index, 24u);
  EXPECT_EQ(units[2].data.first_index, 56u);
  EXPECT_EQ(canonical_bytes(units[0]), canonical_bytes(store.units(24, 1).at(0)));
  EXPECT_EQ(store.choose_units(0, 100, second).size(), 15u);
  EXPECT_TRUE(store.choose_units(240, 100, second).empty());
  store.append({RewindRecord{80, "a test"}});
  EXPECT_EQ(store.choose_units(0, 100, second).size(), 5u) << "what was left behind is not chosen";
}

TEST_F(StoreTest, KeepsWhoDrewAUnitAgainBesideTheLog) {
  Store store = create();
  store.append(log_);
  const Sha256 head = store.head();
  store.write({.confirmed = {{80, 7}}});
  const auto confirmed = [](const UnitPlace& place) { return place.second == 7; };
  const auto units = store.choose_units(0, 100, confirmed);
  ASSERT_EQ(units.size(), 1u);
  EXPECT_EQ(units[0].data.first_index, 80u);
  EXPECT_EQ(store.head(), head) << "who drew a unit is no part of the chain";
}

TEST_F(StoreTest, KeepsWhyAWorkerIsInQuarantineUnderItsNameOnly) {
  {
    Store store = create();
    store.write({.workers = {{1, "one", "cpu"}, {2, "two", "cpu"}, {3, "one", "cpu"}}});
    store.write({.quarantined = {{"one", "for unit 7"}}});
    store.write({.quarantined = {{"one", "for unit 9"}}});
  }
  std::vector<std::string> reasons;
  for (const WorkerRow& row : open().workers()) reasons.push_back(row.quarantined);
  EXPECT_THAT(reasons, testing::ElementsAre("for unit 9", "", "for unit 9"));
}

TEST_F(StoreTest, GivesNoUnitsAtTheFrontierOrWithoutALimit) {
  Store store = create();
  EXPECT_TRUE(store.units(0, 5).empty());
  store.append(log_);
  EXPECT_TRUE(store.units(240, 5).empty());
  EXPECT_TRUE(store.units(1'000'000, 5).empty());
  EXPECT_TRUE(store.units(0, 0).empty());
}

TEST_F(StoreTest, IsDamagedWithoutATableOrAnEntry) {
  for (const char* damage : {"DROP TABLE switches", "DELETE FROM meta WHERE key = 'pinned_build'"}) {
    std::filesystem::remove(file_);
    {
      create();
    }
    sql(damage);
    const Error error = error_of([&] {
      const Store store = open();
      store.switches();
      store.pinned_build();
    });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt) << damage << ": " << error.what();
  }
}

TEST_F(StoreTest, NamesARecordThatCannotBeDecoded) {
  const std::vector<std::pair<std::string, std::string>> damages = {
      {"UPDATE records SET data = substr(data, 2) WHERE sequence = 2", "wrong size"},
      {"UPDATE records SET data = substr(data, 1, 64) WHERE sequence = 2", "wrong size"},
      {"UPDATE records SET count = 0 WHERE sequence = 2", "wrong size"},
      {"UPDATE records SET count = 1 << 61 WHERE sequence = 2", "its column cannot hold"},
      {"UPDATE records SET count = -1 WHERE sequence = 2", "its column cannot hold"},
      {"UPDATE records SET flags = x'0000' WHERE sequence = 2", "wrong size"},
      {"UPDATE records SET kind = 'what' WHERE sequence = 2", "unknown kind"},
      {"UPDATE records SET link = x'00' WHERE sequence = 2", "was changed"},
      {"UPDATE records SET kind = 'switch' WHERE sequence = 2", "damaged switch"},
      {"UPDATE records SET kind = 'reweigh' WHERE sequence = 2", "damaged reweigh"}};
  for (const auto& [damage, why] : damages) {
    std::filesystem::remove(file_);
    {
      create().append(log_);
    }
    sql(damage);
    const Error error = error_of([&] { open().for_each(1, [](const LinkedRecord&) { return true; }); });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_THAT(error.what(), HasSubstr("Record 2")) << damage;
    EXPECT_THAT(error.what(), HasSubstr(why)) << damage;
  }
}

TEST_F(StoreTest, ChecksTheLinksOfAPartOfTheLog) {
  {
    Store store = create();
    store.append(log_);
    store.check_links(1, store.size());
    store.check_links(3, 3);
    EXPECT_THAT(error_of([&] { store.check_links(2, store.size() + 2); }).what(), HasSubstr("is missing"));
  }
  sql("UPDATE records SET data = zeroblob(length(data)) WHERE sequence = 4");
  const Store store = open();
  store.check_links(1, 3);
  store.check_links(5, store.size());
  const Error error = error_of([&] { store.check_links(2, 4); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("Record 4 of"), HasSubstr("was changed")));
}

// ------------------------------------------------------------------------------------------- failures and deaths

TEST_F(StoreTest, AppendsNothingIfThereIsNoRoomAndEverythingLater) {
  const std::vector<Record> log = make_log(run_, 400, {0});
  Store store = create();
  store.append({log.begin(), log.begin() + 5});
  const Sha256 head = store.head();
  const std::vector<Record> rest(log.begin() + 5, log.end());
  {
    const FullDisk full(std::filesystem::file_size(file_) + 5000);
    for (int attempt = 0; attempt < 3; ++attempt) {
      const Error error = error_of([&] { store.append(rest); });
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_THAT(error.what(), HasSubstr("cannot be written"));
      EXPECT_EQ(store.head(), head);
      EXPECT_EQ(store.size(), 5);
    }
  }
  EXPECT_EQ(store.units(0, 100).size(), 4u);
  store.append(rest);
  Sha256 expected = run_.identity();
  for (const Record& record : log) expected = next_link(expected, record);
  EXPECT_EQ(store.head(), expected);
}

TEST_F(StoreTest, IsWholeIfItsOwnerDiesWithoutRoom) {
  const std::vector<Record> log = make_log(run_, 400, {0});
  const int status = in_another_process([&] {
    Store store = create();
    store.append({log.begin(), log.begin() + 5});
    const FullDisk full(std::filesystem::file_size(file_) + 5000);
    try {
      store.append({log.begin() + 5, log.end()});
    } catch (const Error&) {
      ::raise(SIGKILL);
    }
    return 0;
  });
  EXPECT_EQ(status, -SIGKILL);
  EXPECT_EQ(open().size(), 5);
}

TEST_F(StoreTest, FailsWithASentenceInEveryCallIfThereIsNoRoom) {
  Store store = create();
  store.append(log_);
  const FullDisk full(4096);
  const std::vector<std::function<void()>> calls = {
      [&] { store.append({EventRecord{240, "text"}}); },
      [&] { store.write({.switches = {SwitchRecord{}}}); },
      [&] { store.write({.build = "build"}); },
      [&] { store.begin_epoch(); },
      [&] { store.add_model({0, sha256("a"), 1, 1, 0.5, "test", false}, {0}); },
      [&] { store.fulfil({1}, 1); },
      [&] { store.add_event("kind", "text"); },
      [&] { store.add_training("one", {TrainingPoint()}); }};
  for (const auto& call : calls) EXPECT_EQ(error_of(call).code(), ErrorCode::kUnavailable);
}

TEST_F(StoreTest, KeepsTheTrainingsRecordByStep) {
  Store store = create();
  const auto point = [](std::int64_t step, double loss) {
    TrainingPoint made;
    made.set_step(step);
    made.set_loss(loss);
    made.set_ess(std::nan(""));
    made.set_samples(1'000'000'007);
    return made;
  };
  store.add_training("one", {point(20, 1.0 / 3), point(10, 2)});
  store.add_training("one", {point(20, -1.0 / 3), point(30, 4)});  // a trainer that was killed repeats its last steps
  store.add_training("one", {});
  const auto all = store.training(-1, 100);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].step(), 10);
  EXPECT_EQ(all[1].loss(), -1.0 / 3);
  EXPECT_EQ(all[1].samples(), 1'000'000'007);
  EXPECT_TRUE(std::isnan(all[1].ess()));
  ASSERT_EQ(store.training(10, 1).size(), 1u);
  EXPECT_EQ(store.training(10, 1)[0].step(), 20);
  EXPECT_EQ(store.last_training(Store::Points::kAll)->step(), 30);
  EXPECT_FALSE(store.last_training(Store::Points::kEvaluated));

  store.add_training("another", {point(5, 1)});  // of other settings: the record begins anew
  ASSERT_EQ(store.training(-1, 100).size(), 1u);
  EXPECT_EQ(store.last_training(Store::Points::kAll)->step(), 5);
}

TEST_F(StoreTest, HasWhatWasAppendedWhenItsOwnerIsKilled) {
  const int status = in_another_process([&] {
    Store store = create();
    store.append(log_);
    store.write({.switches = {{0, 1, sha256("a")}}});
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(status, -SIGKILL);
  const Store store = open();
  EXPECT_EQ(store.size(), static_cast<std::int64_t>(log_.size()));
  EXPECT_EQ(store.switches().size(), 1u);
}

// Killed at some moment of a long series of transactions of five records each.
TEST_F(StoreTest, HasWholeTransactionsOnlyWhenItsOwnerIsKilledAtAnyMoment) {
  for (const int milliseconds : {3, 7, 13, 29, 61}) {
    std::filesystem::remove(file_);
    {
      create();
    }
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        Store store = open();
        for (std::uint64_t unit = 0;;) {
          std::vector<Record> five;
          for (int i = 0; i < 5; ++i) {
            five.push_back(UnitRecord{random_unit(run_, unit++), std::vector<std::uint8_t>(8, 0)});
          }
          store.append(five);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    ::usleep(static_cast<useconds_t>(1000 * milliseconds));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const Store store = open();
    EXPECT_EQ(store.size() % 5, 0);
    Sha256 link = run_.identity();
    store.for_each(1, [&](const LinkedRecord& linked) {
      link = next_link(link, linked.record);
      EXPECT_EQ(link, linked.link);
      return true;
    });
    EXPECT_EQ(link, store.head());
  }
}

// --------------------------------------------------------------------------------------------- the other tables

TEST_F(StoreTest, RaisesItsEpochAtEveryStart) {
  EXPECT_EQ(create().begin_epoch(), 1u);
  EXPECT_EQ(open().begin_epoch(), 2u);
  EXPECT_EQ(open().begin_epoch(), 3u);
}

TEST_F(StoreTest, KeepsThePinnedBuild) {
  {
    create().write({.build = "lanes 1"});
  }
  EXPECT_EQ(open().pinned_build(), "lanes 1");
}

TEST_F(StoreTest, NumbersModelsInOrderOfPublication) {
  {
    Store store = create();
    EXPECT_EQ(store.add_model({0, sha256("a"), 10, 7, 0.5, "ESS >= 0.5", false, 3.5}, {0, 2}), 1u);
    EXPECT_EQ(store.add_model({0, sha256("b"), 11, 8, kNan, "trained", false}, {}), 2u);
    store.write({.verified = {2}});
  }
  const Store store = open();
  const auto models = store.models();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].sha256, sha256("a"));
  EXPECT_EQ(models[0].size, 10u);
  EXPECT_EQ(models[0].training_step, 7);
  EXPECT_EQ(models[0].ess, 0.5);
  EXPECT_EQ(models[0].origin, "ESS >= 0.5");
  EXPECT_FALSE(models[0].verified);
  EXPECT_EQ(models[0].threshold, 3.5);
  EXPECT_TRUE(std::isnan(models[1].ess));
  EXPECT_EQ(models[1].threshold, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(models[1].verified);
  using Rows = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  EXPECT_EQ(store.fulfilled(), (Rows{{0, 1}, {2, 1}}));
}

TEST_F(StoreTest, RefusesTheSameCheckpointTwice) {
  Store store = create();
  store.add_model({0, sha256("a"), 10, 7, 0.5, "", false}, {});
  EXPECT_THROW(store.add_model({0, sha256("a"), 10, 7, 0.5, "", false}, {1}), Error);
  EXPECT_EQ(store.models().size(), 1u);
  EXPECT_TRUE(store.fulfilled().empty());
}

TEST_F(StoreTest, KeepsTheFirstVersionOfAnEntryUntilItIsTakenBack) {
  Store store = create();
  store.fulfil({0}, 1);
  store.fulfil({0}, 2);
  EXPECT_EQ(store.fulfilled()[0].second, 1u);
  store.unfulfil(0);
  EXPECT_TRUE(store.fulfilled().empty());
  store.fulfil({0}, 2);
  EXPECT_EQ(store.fulfilled()[0].second, 2u);
}

TEST_F(StoreTest, GivesSwitchesInOrderOfTheirPlace) {
  {
    Store store = create();
    store.write({.switches = {{80, 2, sha256("b"), Placement::kClock}}});
    store.write({.switches = {{0, 1, sha256("a")}}});
  }
  const auto switches = open().switches();
  ASSERT_EQ(switches.size(), 2u);
  EXPECT_EQ(switches[0].from, 0u);
  EXPECT_EQ(switches[0].placement, Placement::kSchedule);
  EXPECT_EQ(switches[1].from, 80u);
  EXPECT_EQ(switches[1].version, 2u);
  EXPECT_EQ(switches[1].checkpoint, sha256("b"));
  EXPECT_EQ(switches[1].placement, Placement::kClock);
}

TEST_F(StoreTest, RefusesTwoSwitchesAtOnePlace) {
  Store store = create();
  store.write({.switches = {{0, 1, sha256("a")}}});
  EXPECT_THROW(store.write({.switches = {{0, 2, sha256("b")}}}), Error);
}

TEST_F(StoreTest, KeepsEventsWithTheirTime) {
  {
    create().add_event("policy", "chain.length: 1 -> 2");
  }
  const auto events = open().events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, "policy");
  EXPECT_EQ(events[0].text, "chain.length: 1 -> 2");
  EXPECT_THAT(events[0].at, testing::MatchesRegex("20..-..-..T..:..:......Z"));
}

// docs/log-format.md, "What is checked, by what".
TEST_F(StoreTest, DamageBeforeASnapshotIsSeenByWhoeverReadsItAndNotByAStart) {
  const std::vector<Record> log = make_log(run_, 20, {0});
  {
    Store store = create();
    store.append({log.begin(), log.begin() + 15});
    store.write({.snapshot = "state", .records = {log.begin() + 15, log.end()}});
  }
  sql("UPDATE records SET data = zeroblob(length(data)) WHERE sequence = 5");
  const Store store = open(Store::Mode::kReadOnly);
  ASSERT_TRUE(store.snapshot());
  std::size_t read = 0;
  const auto count = [&](const LinkedRecord&) { return ++read > 0; };
  store.for_each(store.snapshot()->sequence + 1, count);  // a coordinator's start
  EXPECT_EQ(read, log.size() - 15);
  EXPECT_THAT(error_of([&] { store.for_each(1, count); }).what(), HasSubstr("ecord 5"));  // status, a table
  EXPECT_THAT(error_of([&] { store.units(0, 64); }).what(), HasSubstr("ecord 5"));        // samples
  EXPECT_THAT(verify_log(store, run_).sentence, HasSubstr("Record 5"));
}

}  // namespace
}  // namespace flowloom
