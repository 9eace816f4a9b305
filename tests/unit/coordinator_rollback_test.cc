// A store that is older than what its peers were told, or another one.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chain/log_state.h"
#include "coordinator/head_seal.h"
#include "coordinator_run.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Seen;
using flowloom::v1::StatusReply;
using testing::HasSubstr;

TEST(HeadSeal, HoldsOnlyWhatACoordinatorOfThisDirectorySaid) {
  const HeadSeal seal("run", "token");
  const Seen seen = seal.seal(7, sha256("head"));
  EXPECT_TRUE(HeadSeal("run", "token").holds(seen));
  EXPECT_FALSE(HeadSeal("run", "other").holds(seen));
  EXPECT_FALSE(HeadSeal("other", "token").holds(seen));
  EXPECT_FALSE(seal.holds(Seen()));
  for (const auto& change : std::vector<std::function<void(Seen&)>>{
           [](Seen& claim) { claim.set_records(8); }, [](Seen& claim) { claim.mutable_head()->back() ^= 1; },
           [](Seen& claim) { claim.mutable_seal()->back() ^= 1; },
           [](Seen& claim) { claim.mutable_seal()->pop_back(); }, [](Seen& claim) { claim.set_run_id("other"); }}) {
    Seen claim = seen;
    change(claim);
    EXPECT_FALSE(seal.holds(claim)) << claim.ShortDebugString();
  }
}

TEST(HeadSeal, AStoreThatHoldsTheRecordContradictsNothing) {
  const HeadSeal seal("run", "token");
  const Seen seen = seal.seal(7, sha256("head"));
  EXPECT_FALSE(contradiction("w", seen, 7, sha256("head")));
  EXPECT_FALSE(contradiction("w", seen, 900, sha256("head")));
  EXPECT_THAT(contradiction("w", seen, 5, {}).value_or(""), HasSubstr("'w' was told of record 7"));
  EXPECT_THAT(contradiction("w", seen, 5, {}).value_or(""), HasSubstr("the store ends at record 5"));
  EXPECT_THAT(contradiction("w", seen, 9, sha256("x")).value_or(""), HasSubstr("has another one there"));
}

class RollbackTest : public testing::Test {
 protected:
  // What a client is told in its first status, having shown `seen`.
  StatusReply watched(const Seen& seen = {}) {
    Served::Call call(served_);
    flowloom::v1::WatchStatusRequest request;
    request.set_interval_seconds(0.1);
    *request.mutable_seen() = seen;
    const auto stream = served_.chain()->WatchStatus(&call.context, request);
    StatusReply reply;
    EXPECT_TRUE(stream->Read(&reply));
    call.context.TryCancel();
    stream->Finish();
    return reply;
  }

  // The state once a worker of the same run file has come that remembers another run, with a log of so many records.
  StatusReply remembered(char run, std::int64_t records) {
    HandWorker worker(served_);
    flowloom::v1::Hello first = hello(1);
    const std::string other(32, run);
    *first.mutable_seen() = HeadSeal(other, std::string(64, '0')).seal(records, sha256("x"));
    first.mutable_run()->set_run_id(other);
    first.set_identity(std::string(bytes_of(served_.run.identity())));
    worker.say_hello(first);
    const auto answer = worker.read();
    EXPECT_TRUE(answer && answer->has_refusal());
    return settled();
  }

  // The state a little later.
  StatusReply settled() {
    Served::Call call(served_);
    flowloom::v1::RecordReply reply;  // comes by way of the store's thread, behind what waits there
    EXPECT_TRUE(served_.models()->Record(&call.context, {}, &reply).ok());
    return served_.status();
  }

  bool halted(const Seen& seen) {
    watched(seen);
    for (int i = 0; i < 500 && served_.status().state() != StatusReply::STATE_HALTED; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return served_.status().state() == StatusReply::STATE_HALTED;
  }

  std::filesystem::path chain() const { return served_.directory.store(); }
  std::filesystem::path copy() const { return served_.temporary.path() / "copy.sqlite"; }

  // A chain of 12 proposals, a copy of it, and the chain again with all 96.
  Seen grow() {
    served_.publish(checkpoint_bytes(served_.run));
    {
      HandWorker worker(served_, 1);
      for (int unit = 0; unit < 3; ++unit) worker.answer(*worker.read_until(CoordinatorMessage::kSample));
      EXPECT_TRUE(served_.reaches(12));
    }
    served_.stop();
    std::filesystem::copy_file(chain(), copy());
    served_.start();
    HandWorker worker(served_, 1);
    worker.work();
    EXPECT_TRUE(served_.reaches(96));
    return watched().seen();
  }
  void roll_back() {
    served_.stop();
    std::filesystem::remove(chain().string() + "-journal");
    std::filesystem::copy_file(copy(), chain(), std::filesystem::copy_options::overwrite_existing);
  }

  Served served_{RunText{.length = 96, .window = 5, .switches = {0}}};
};

TEST_F(RollbackTest, AnOlderStoreHaltsTheChainWhenAPeerThatSawMoreComesBack) {
  const Seen seen = grow();
  ASSERT_GT(seen.records(), 3u);
  served_.stop();
  served_.start();
  watched(seen);
  EXPECT_EQ(settled().state(), StatusReply::STATE_COMPLETE) << "it is the store that the peer knows";
  roll_back();
  served_.start();
  EXPECT_EQ(watched().seen().records(), 4u) << "a switch and three units";
  EXPECT_TRUE(halted(seen));
  EXPECT_THAT(served_.status().sentence(), HasSubstr("--accept-rollback"));
  EXPECT_FALSE(watched().has_seen()) << "peers are to keep what they know";
  HandWorker worker(served_, 1);
  worker.work_in_background();
  for (int i = 0; i < 500 && served_.status().workers_size() == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_EQ(served_.status().workers_size(), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // many times what a grant takes
  EXPECT_EQ(served_.status().proposals(), 12u);
}

TEST_F(RollbackTest, AnOlderStoreWithoutItsTokenBelievesWhoRemembersIt) {
  const Seen seen = grow();
  roll_back();
  std::filesystem::remove(served_.directory.token_file());
  served_.start();
  EXPECT_TRUE(halted(seen));
  EXPECT_THAT(served_.status().sentence(), HasSubstr("--accept-rollback"));
  served_.stop();
  served_.start();
  watched(seen);
  EXPECT_EQ(settled().state(), StatusReply::STATE_WAITING) << "its token is not new any more";
}

TEST_F(RollbackTest, DamageInWhatASnapshotStandsForHaltsTheChain) {
  grow();
  roll_back();
  {
    Store store = Store::open(chain(), Store::Mode::kReadWrite);
    LogState state(served_.run);
    store.for_each(1, [&](const LinkedRecord& linked) {
      state.add(linked.record);
      return true;
    });
    store.write({.snapshot = state.save()});
  }
  served_.start();
  EXPECT_EQ(settled().state(), StatusReply::STATE_WAITING);
  served_.stop();
  SQLite::Database(chain().string(), SQLite::OPEN_READWRITE)
      .exec("UPDATE records SET data = zeroblob(length(data)) WHERE sequence = 2");
  served_.start();  // from the snapshot on
  for (int i = 0; i < 500 && served_.status().state() != StatusReply::STATE_HALTED; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(served_.status().sentence(), HasSubstr("Record 2"));
  EXPECT_THAT(served_.status().sentence(), HasSubstr("a whole copy of chain.sqlite"));
}

TEST_F(RollbackTest, OnceItIsAcceptedTheChainGoesOnAndTheFactIsKept) {
  const Seen seen = grow();
  roll_back();
  served_.start(true, Rollback::kAccept);
  watched(seen);
  EXPECT_EQ(settled().state(), StatusReply::STATE_WAITING);
  HandWorker worker(served_, 1);
  worker.work();
  EXPECT_TRUE(served_.reaches(96));
  const Seen now = watched().seen();
  EXPECT_EQ(now.head(), seen.head()) << "the chain is a pure function of its run file";
  served_.stop();
  const Store store = Store::open(chain(), Store::Mode::kReadOnly);
  int rollbacks = 0;
  for (const auto& event : store.events()) rollbacks += event.kind == "rollback";
  EXPECT_EQ(rollbacks, 1);
}

TEST_F(RollbackTest, NobodyHaltsAChainByInventingAHead) {
  const Seen seen = grow();
  Seen invented = seen;
  invented.set_records(seen.records() + 1000);
  Seen other = HeadSeal(served_.status().run_id(), std::string(64, '0')).seal(1000, sha256("x"));
  for (const Seen& claim : {invented, other}) {
    watched(claim);
    HandWorker worker(served_);
    flowloom::v1::Hello first = hello(1);
    *first.mutable_seen() = claim;
    worker.say_hello(first);
    EXPECT_TRUE(worker.read());
  }
  EXPECT_NE(settled().state(), StatusReply::STATE_HALTED);
}

TEST_F(RollbackTest, APeerThatRemembersAnotherRunIsNotedAndStopsNobody) {
  HandWorker worker(served_);
  flowloom::v1::Hello first = hello(1);
  const std::string other(32, 'b');
  *first.mutable_seen() = HeadSeal(other, std::string(64, '0')).seal(1000, sha256("x"));
  first.mutable_run()->set_run_id(other);
  worker.say_hello(first);
  const auto answer = worker.read();
  ASSERT_TRUE(answer && answer->has_refusal());
  const StatusReply status = settled();
  EXPECT_EQ(status.state(), StatusReply::STATE_WAITING);
  EXPECT_THAT(status.notes(), testing::Contains(testing::AllOf(HasSubstr("record 1000 of run " + other),
                                                               HasSubstr("this is run " + status.run_id()))));
}

TEST_F(RollbackTest, AChainThatHasNotBegunIsHaltedByWhoRemembersAnotherOfItsRunFile) {
  const StatusReply status = remembered('b', 1000);
  EXPECT_EQ(status.state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status.sentence(), testing::AllOf(HasSubstr("record 1000 of run bbb"), HasSubstr("--accept-rollback")));
}

TEST_F(RollbackTest, AChainThatHasBegunIsHaltedByWhoRemembersALongerOneOfItsRunFile) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker worker(served_, 1);
  for (int unit = 0; unit < 3; ++unit) worker.answer(*worker.read_until(CoordinatorMessage::kSample));
  ASSERT_TRUE(served_.reaches(12));  // a switch and three units
  EXPECT_EQ(remembered('b', 4).state(), StatusReply::STATE_RUNNING) << "nothing of that one is missing here";
  const StatusReply status = remembered('b', 5);
  EXPECT_EQ(status.state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(status.sentence(), testing::AllOf(HasSubstr("record 5 of run bbb"), HasSubstr("--accept-rollback")));
}

TEST_F(RollbackTest, OnceALostRunIsAcceptedWhoRemembersItHaltsNothingMore) {
  served_.stop();
  served_.start(true, Rollback::kAccept);
  EXPECT_EQ(remembered('b', 1000).state(), StatusReply::STATE_WAITING);
  served_.stop();
  served_.start();
  EXPECT_EQ(remembered('b', 1000).state(), StatusReply::STATE_WAITING);
  EXPECT_EQ(remembered('c', 1000).state(), StatusReply::STATE_HALTED) << "another one was not accepted";
  served_.stop();
  const Store store = Store::open(chain(), Store::Mode::kReadOnly);
  int rollbacks = 0;
  for (const auto& event : store.events()) rollbacks += event.kind == "rollback";
  EXPECT_EQ(rollbacks, 1);
}

TEST_F(RollbackTest, AWorkerIsToldOfTheLog) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker worker(served_, 1);
  worker.answer(*worker.read_until(CoordinatorMessage::kSample));
  EXPECT_TRUE(served_.reaches(4));
  std::optional<CoordinatorMessage> told;
  do told = worker.read_until(CoordinatorMessage::kSeen);
  while (told && told->seen().records() < 2);
  ASSERT_TRUE(told);
  EXPECT_TRUE(HeadSeal(served_.status().run_id(), served_.token).holds(told->seen()));
  EXPECT_EQ(to_hex(told->seen().head()), served_.status().head());
}

// ------------------------------------------------------------------------------------- a coordinator that goes down

TEST_F(RollbackTest, FollowersOfAChainThatIsNotCompleteAreToldWhenToComeBack) {
  Served::Call status_call(served_), states_call(served_);
  flowloom::v1::WatchStatusRequest status_request;
  status_request.set_interval_seconds(60);
  const auto statuses = served_.chain()->WatchStatus(&status_call.context, status_request);
  StatusReply status;
  ASSERT_TRUE(statuses->Read(&status));
  flowloom::v1::StreamStatesRequest states_request;
  states_request.set_follow(true);
  const auto states = served_.chain()->StreamStates(&states_call.context, states_request);
  served_.brain->drain();
  while (statuses->Read(&status)) {
  }
  flowloom::v1::StatesReply unit;
  EXPECT_FALSE(states->Read(&unit));
  for (const grpc::Status& end : {statuses->Finish(), states->Finish()}) {
    const Error error = to_error(end, "x");
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_EQ(error.retry_after(), limits::kComeBack) << error.what();
  }
}

}  // namespace
}  // namespace flowloom
