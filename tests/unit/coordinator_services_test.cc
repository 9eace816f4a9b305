// The coordinator behind its three services, spoken to by gRPC clients in this process.
#include "coordinator/services.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <set>

#include "coordinator/listening.h"
#include "coordinator_calls.h"
#include "coordinator_run.h"
#include "program/authorization.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::StatusReply;
using grpc::StatusCode;
using testing::HasSubstr;

class ServicesTest : public testing::Test {
 protected:
  using Call = Served::Call;

  // Runs a chain to its end with one worker.
  void complete() {
    served_.publish(checkpoint_bytes(served_.run));
    HandWorker worker(served_, 4);
    worker.work();
  }

  // The chunks of version 1, together.
  grpc::Status fetch(std::string* bytes) {
    Call call(served_);
    flowloom::v1::FetchRequest request;
    request.set_version(1);
    const auto reader = served_.models()->Fetch(&call.context, request);
    for (flowloom::v1::FetchReply reply; reader->Read(&reply);) {
      EXPECT_LE(reply.chunk().size(), limits::kChunkBytes);
      *bytes += reply.chunk();
    }
    return reader->Finish();
  }

  Served served_{RunText{.length = 96, .window = 5, .switches = {0}}};
};

// ----------------------------------------------------------------------------------------------- authorisation

TEST(Permissions, HaveOneRowForEachMethodOfTheProtocolAndNoOther) {
  std::multiset<std::string> rows, methods;
  for (const Permission& permission : permissions()) {
    rows.insert(permission.method);
    EXPECT_FALSE(permission.roles.empty()) << permission.method;
  }
  for (const std::string& method : all_methods()) methods.insert(method);
  EXPECT_GE(methods.size(), 11u);
  EXPECT_EQ(rows, methods);
}

TEST_F(ServicesTest, RefuseEveryMethodWithoutTheToken) {
  for (const std::string& method : all_methods()) {
    for (const std::string& authorization :
         {std::string(), std::string("Bearer wrong"), served_.token, "bearer " + served_.token,
          "Bearer " + served_.token + "0", "Bearer " + served_.token.substr(1), "Bearer " + std::string(64, '0')}) {
      EXPECT_EQ(call_raw(served_.channel, method, authorization).status.error_code(), StatusCode::UNAUTHENTICATED)
          << method << " with '" << authorization << "'";
    }
  }
}

TEST_F(ServicesTest, SayWhereTheTokenIs) {
  EXPECT_THAT(call_raw(served_.channel, "flowloom.v1.Chain/Status", "").status.error_message(),
              testing::AllOf(HasSubstr("token of its run directory"), testing::Not(HasSubstr("does not match"))));
  EXPECT_THAT(call_raw(served_.channel, "flowloom.v1.Chain/Status", "Bearer another").status.error_message(),
              testing::AllOf(HasSubstr("token of its run directory"), HasSubstr("was shown does not match")));
}

TEST_F(ServicesTest, KnowTheTokenOfTheirDirectory) {
  EXPECT_TRUE(call_raw(served_.channel, "flowloom.v1.Chain/Status", "Bearer " + served_.token).status.ok());
}

TEST_F(ServicesTest, HaveNoMethodThatIsNotInTheProtocol) {
  const Raw raw = call_raw(served_.channel, "flowloom.v1.Chain/Erase", "Bearer " + served_.token);
  EXPECT_EQ(raw.status.error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(ServicesTest, TellTheirHealthToEverybody) {
  const Raw raw = call_raw(served_.channel, "grpc.health.v1.Health/Check", "");
  EXPECT_TRUE(raw.status.ok());
  EXPECT_EQ(raw.reply, "\x08\x01");  // SERVING
}

TEST_F(ServicesTest, DescribeThemselvesToEverybody) {
  const Raw raw = call_raw(served_.channel, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "",
                           "\x3a\x01*");  // list_services
  EXPECT_THAT(raw.reply, HasSubstr("flowloom.v1.Chain"));
  EXPECT_THAT(raw.reply, HasSubstr("flowloom.v1.Coordinator"));
}

TEST_F(ServicesTest, RefuseRequestsForAnotherRunOrChain) {
  const auto status_for = [&](const std::string& run_id, std::uint32_t chain) {
    Call call(served_);
    flowloom::v1::StatusRequest request;
    request.mutable_run()->set_run_id(run_id);
    request.mutable_run()->set_chain(chain);
    StatusReply reply;
    return served_.chain()->Status(&call.context, request, &reply).error_code();
  };
  EXPECT_EQ(status_for(served_.status().run_id(), 0), StatusCode::OK);
  EXPECT_EQ(status_for("ffffffffffffffffffffffffffffffff", 0), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status_for("", 1), StatusCode::INVALID_ARGUMENT);
}

// Target is field 1 of every request but of streams, whose own parts carry it.
TEST_F(ServicesTest, RefuseEveryMethodForAnotherRun) {
  const std::string target = "\x0a\x05\x0a\x03" + std::string("xyz");
  for (const std::string& method : all_methods()) {
    if (method.ends_with("/Work") || method.ends_with("/Publish") || method.ends_with("/Share")) continue;
    EXPECT_EQ(call_raw(served_.channel, method, "Bearer " + served_.token, target).status.error_code(),
              StatusCode::FAILED_PRECONDITION)
        << method;
  }
}

TEST_F(ServicesTest, RefuseBytesThatAreNoMessage) {
  const Raw raw = call_raw(served_.channel, "flowloom.v1.Chain/Status", "Bearer " + served_.token, "\xff\xff\xff");
  EXPECT_FALSE(raw.status.ok());
  EXPECT_EQ(served_.status().proposals(), 0u);
}

// ----------------------------------------------------------------------------------------------------- the work

TEST_F(ServicesTest, CarryAWholeChain) {
  const Sha256 checkpoint = sha256(checkpoint_bytes(served_.run));
  complete();
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_COMPLETE);
  MemoryLog log(served_.run);
  log.publish("version 1", {0});
  log.switches.push_back({0, 1, checkpoint});
  EXPECT_EQ(served_.status().head(), to_hex(head_of(served_.run, reference_log(served_.run, log, {}))));
}

TEST_F(ServicesTest, GoOnWithTheSameChainAfterARestart) {
  Served calm(RunText{.length = 96, .window = 5, .switches = {0}});
  calm.publish(checkpoint_bytes(calm.run));
  HandWorker(calm, 4).work();
  served_.publish(checkpoint_bytes(served_.run));
  {
    HandWorker worker(served_, 1);
    for (int i = 0; i < 5; ++i) worker.answer(*worker.read_until(CoordinatorMessage::kSample));
    ASSERT_TRUE(served_.reaches(20));
  }
  served_.stop();
  served_.start();
  EXPECT_EQ(served_.status().epoch(), 2u);
  EXPECT_EQ(served_.status().proposals(), 20u);
  HandWorker(served_, 4).work();
  EXPECT_EQ(served_.status().head(), calm.status().head());
}

TEST_F(ServicesTest, EndTheStreamOfARefusedWorker) {
  HandWorker worker(served_);
  auto message = hello();
  message.set_protocol("flowloom.v0");
  worker.say_hello(message);
  const auto refusal = worker.read();
  ASSERT_TRUE(refusal && refusal->has_refusal());
  EXPECT_EQ(refusal->refusal().code(), flowloom::v1::Refusal::CODE_PROTOCOL);
  EXPECT_FALSE(worker.read());
  EXPECT_TRUE(worker.finish().ok());
  EXPECT_EQ(served_.status().workers_size(), 0);
}

TEST_F(ServicesTest, EndTheStreamOfAWorkerThatDoesNotBeginWithHello) {
  HandWorker worker(served_);
  worker.say(ready(1));
  EXPECT_FALSE(worker.read());
  EXPECT_EQ(worker.finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServicesTest, EndTheStreamOfAWorkerThatNeverSaysHello) {
  HandWorker worker(served_);
  EXPECT_FALSE(worker.read());  // ten seconds
  EXPECT_EQ(worker.finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ServicesTest, ReturnTheUnitsOfALostWorkerAtOnce) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker lost(served_, 1);
  const auto grant = lost.read_until(CoordinatorMessage::kSample);
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->sample().first_unit(), 0u);
  lost.cancel();
  HandWorker other(served_, 1);
  for (int i = 0; i < 10; ++i) {
    const auto next = other.read_until(CoordinatorMessage::kSample);
    ASSERT_TRUE(next);
    other.answer(*next);
    if (next->sample().first_unit() == 0) return;
  }
  FAIL() << "unit 0 was not granted again";
}

TEST_F(ServicesTest, EndOnlyTheStreamOfAnOversizedAnswer) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker good(served_, 1);
  ASSERT_TRUE(good.read_until(CoordinatorMessage::kSample));
  HandWorker bad(served_, 1);
  ASSERT_TRUE(bad.read_until(CoordinatorMessage::kSample));
  flowloom::v1::WorkerMessage message;
  message.mutable_sample()->set_log_p(std::string(limits::kMessageBytes + 1, 'x'));
  bad.say(message);
  EXPECT_FALSE(bad.read());
  EXPECT_EQ(bad.finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  flowloom::v1::WorkerMessage first = good.numbers.sample(0, 4, {1, {}, 0, 0, 0, "version 1", true});
  good.say(first);
  good.work();
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(ServicesTest, SurviveAWorkerThatHangsUpAtAnyMoment) {
  served_.publish(checkpoint_bytes(served_.run));
  for (int messages = 0; messages < 12; ++messages) {
    HandWorker worker(served_, 3);
    for (int i = 0; i < messages; ++i) {
      const auto message = worker.read();
      if (!message || message->has_goodbye()) break;
      worker.answer(*message);
    }
    worker.cancel();
  }
  HandWorker(served_, 4).work();
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_COMPLETE);
}

TEST_F(ServicesTest, SendLateWorkersAwayWhenTheChainIsComplete) {
  complete();
  HandWorker late(served_, 4);
  const auto goodbye = late.read_until(CoordinatorMessage::kGoodbye);
  ASSERT_TRUE(goodbye);
  EXPECT_EQ(goodbye->goodbye().reconnect_after_seconds(), 0);
}

// ---------------------------------------------------------------------------------------------------- checkpoints

TEST_F(ServicesTest, GiveAPublishedCheckpointBackByteForByte) {
  const std::string bytes = checkpoint_bytes(served_.run, "a", 7);
  const auto reply = served_.publish(bytes);
  EXPECT_EQ(reply.version().version(), 1u);
  EXPECT_EQ(reply.version().sha256(), digest(bytes));
  EXPECT_EQ(reply.version().training_step(), 7);
  std::string back;
  EXPECT_TRUE(fetch(&back).ok());
  EXPECT_EQ(back, bytes);
}

TEST_F(ServicesTest, GiveALargeCheckpointInChunks) {
  served_.publish(checkpoint_bytes(served_.run));
  std::string bytes(2 * limits::kChunkBytes + limits::kChunkBytes / 2, 'x');
  for (std::size_t i = 0; i < bytes.size(); i += 1000) bytes[i] = static_cast<char>(i / 1000);
  for (const std::size_t size : {bytes.size(), 2 * limits::kChunkBytes}) {
    write_file_atomically(served_.directory.model(1), bytes.substr(0, size));
    std::string back;
    EXPECT_TRUE(fetch(&back).ok());
    EXPECT_TRUE(back == bytes.substr(0, size));
  }
}

TEST_F(ServicesTest, SayThatACheckpointsFileIsGone) {
  served_.publish(checkpoint_bytes(served_.run));
  std::filesystem::remove(served_.directory.model(1));
  std::string back;
  const auto status = fetch(&back);
  EXPECT_EQ(status.error_code(), StatusCode::DATA_LOSS);
  EXPECT_THAT(status.error_message(), HasSubstr("restore it from a backup"));
  EXPECT_EQ(back, "");
}

TEST_F(ServicesTest, FindNoVersionThatWasNotPublished) {
  for (const std::uint32_t version : {0u, 1u, 4294967295u}) {
    Call call(served_);
    flowloom::v1::FetchRequest request;
    request.set_version(version);
    const auto reader = served_.models()->Fetch(&call.context, request);
    flowloom::v1::FetchReply chunk;
    EXPECT_FALSE(reader->Read(&chunk));
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::NOT_FOUND);
  }
}

TEST_F(ServicesTest, TakeTheSameBytesForTheSameVersion) {
  const std::string bytes = checkpoint_bytes(served_.run);
  EXPECT_EQ(served_.publish(bytes).version().version(), 1u);
  EXPECT_EQ(served_.publish(bytes).version().version(), 1u);
  EXPECT_EQ(served_.publish(checkpoint_bytes(served_.run, "b"), {}).version().version(), 2u);
  EXPECT_EQ(served_.status().models().versions_size(), 2);
}

class PublishTest : public ServicesTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(served_.status().models().versions_size(), 0);
    served_.publish(bytes_);  // and a good one is still welcome
  }
  grpc::Status publish(const flowloom::v1::PublishHeader& header, const std::string& bytes) {
    flowloom::v1::PublishReply reply;
    return served_.publish(header, bytes, &reply);
  }
  std::string bytes_ = checkpoint_bytes(served_.run);
};

TEST_F(PublishTest, RefusesAnotherSha256) {
  auto header = served_.header_of(bytes_);
  header.set_sha256(digest("other"));
  EXPECT_EQ(publish(header, bytes_).error_code(), StatusCode::DATA_LOSS);
}

TEST_F(PublishTest, RefusesTruncatedBytes) {
  EXPECT_EQ(publish(served_.header_of(bytes_), bytes_.substr(0, bytes_.size() - 1)).error_code(),
            StatusCode::DATA_LOSS);
  EXPECT_EQ(publish(served_.header_of(bytes_), "").error_code(), StatusCode::DATA_LOSS);
}

TEST_F(PublishTest, RefusesMoreBytesThanAnnounced) {
  EXPECT_EQ(publish(served_.header_of(bytes_), bytes_ + "x").error_code(), StatusCode::DATA_LOSS);
}

TEST_F(PublishTest, RefusesBytesThatAreNoCheckpoint) {
  for (const std::string& foreign : {std::string("foreign bytes"), std::string(100000, '\0'), bytes_.substr(0, 200)}) {
    const grpc::Status done = publish(served_.header_of(foreign), foreign);
    EXPECT_FALSE(done.ok());
    EXPECT_THAT(done.error_message(), HasSubstr("checkpoint"));
  }
}

TEST_F(PublishTest, RefusesACheckpointThatDoesNotFitTheRun) {
  std::string other = RunText{}.text();
  other.replace(other.find("float64"), 7, "mixed");
  const std::string unfit = checkpoint_bytes(load_run_text(other, "other.toml"));
  EXPECT_THAT(publish(served_.header_of(unfit), unfit).error_message(), HasSubstr("mixed"));
}

TEST_F(PublishTest, RefusesAnEntryThatTheRunFileDoesNotHave) {
  EXPECT_EQ(publish(served_.header_of(bytes_, {1}), bytes_).error_code(), StatusCode::FAILED_PRECONDITION);
}

TEST_F(PublishTest, RefusesAnEntryWhoseConditionIsAnotherByNow) {
  auto header = served_.header_of(bytes_);
  header.set_conditions(0, "ESS >= 0.125");
  const grpc::Status status = publish(header, bytes_);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("'ESS >= 0.125', which the run file does not have any more"));
  header.clear_conditions();
  EXPECT_EQ(publish(header, bytes_).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, RefusesACheckpointOfAnotherRun) {
  auto header = served_.header_of(bytes_);
  header.mutable_run()->set_run_id("ffffffffffffffffffffffffffffffff");
  EXPECT_EQ(publish(header, bytes_).error_code(), StatusCode::FAILED_PRECONDITION);
}

TEST_F(PublishTest, RefusesAHeaderThatAnnouncesTooMuch) {
  auto header = served_.header_of(bytes_);
  header.set_size(limits::kModelBytes + 1);
  EXPECT_EQ(publish(header, bytes_).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, RefusesChunksWithoutAHeaderAndASecondHeader) {
  for (const int headers : {0, 2}) {
    Call call(served_);
    flowloom::v1::PublishReply reply;
    const auto writer = served_.models()->Publish(&call.context, &reply);
    flowloom::v1::PublishRequest request;
    *request.mutable_header() = served_.header_of(bytes_);
    for (int i = 0; i < headers; ++i) writer->Write(request);
    request.set_chunk("x");
    writer->Write(request);
    writer->WritesDone();
    EXPECT_EQ(writer->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(PublishTest, RefusesNothingAtAll) {
  Call call(served_);
  flowloom::v1::PublishReply reply;
  const auto writer = served_.models()->Publish(&call.context, &reply);
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, RefusesAnOversizedChunkAndLivesOn) {
  Call call(served_);
  flowloom::v1::PublishReply reply;
  const auto writer = served_.models()->Publish(&call.context, &reply);
  flowloom::v1::PublishRequest request;
  request.set_chunk(std::string(limits::kMessageBytes + 1, 'x'));
  writer->Write(request);
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(PublishTest, ForgetsATrainerThatHangsUp) {
  Call call(served_);
  flowloom::v1::PublishReply reply;
  const auto writer = served_.models()->Publish(&call.context, &reply);
  flowloom::v1::PublishRequest request;
  *request.mutable_header() = served_.header_of(bytes_);
  writer->Write(request);
  request.set_chunk(bytes_.substr(0, 100));
  writer->Write(request);
  call.context.TryCancel();
  EXPECT_EQ(writer->Finish().error_code(), StatusCode::CANCELLED);
}

TEST_F(ServicesTest, TellATrainerTheRunAndWhatIsFulfilled) {
  served_.publish(checkpoint_bytes(served_.run));
  Call call(served_);
  flowloom::v1::DescribeReply reply;
  ASSERT_TRUE(served_.models()->Describe(&call.context, {}, &reply).ok());
  EXPECT_EQ(reply.run_file(), served_.run.toml);
  EXPECT_EQ(reply.run_id(), served_.status().run_id());
  EXPECT_THAT(reply.fulfilled(), testing::ElementsAre(0));
  EXPECT_EQ(reply.models().versions_size(), 1);
}

TEST_F(ServicesTest, ShowTheTrainersReport) {
  Call call(served_);
  flowloom::v1::TrainingReport report;
  report.set_step(17);
  report.set_loss(std::nan(""));
  report.set_state(flowloom::v1::TrainingReport::STATE_TRAINING);
  flowloom::v1::ReportReply reply;
  EXPECT_TRUE(served_.models()->Report(&call.context, report, &reply).ok());
  EXPECT_EQ(served_.status().training().step(), 17);
}

TEST_F(ServicesTest, KeepTheTrainingsRecordAndGiveItBackInPages) {
  flowloom::v1::TrainingReport report;
  for (int step = 1; step <= 12000; ++step) {
    auto& point = *report.add_points();
    point.set_step(step);
    point.set_loss(1.0 / step);
    if (report.points_size() < limits::kReportedPoints) continue;
    Call call(served_);
    flowloom::v1::ReportReply reply;
    ASSERT_TRUE(served_.models()->Report(&call.context, report, &reply).ok());
    report.clear_points();
  }
  EXPECT_EQ(served_.status().training().points_size(), 0);
  flowloom::v1::RecordRequest request;
  request.set_after_step(-1);
  flowloom::v1::RecordReply reply;
  Call first(served_), second(served_), third(served_);
  ASSERT_TRUE(served_.models()->Record(&first.context, request, &reply).ok());
  ASSERT_EQ(reply.points_size(), 10000);
  EXPECT_EQ(reply.points(41).loss(), 1.0 / 42);
  request.set_after_step(10000);
  ASSERT_TRUE(served_.models()->Record(&second.context, request, &reply).ok());
  EXPECT_EQ(reply.points_size(), 2000);
  request.set_after_step(12000);
  ASSERT_TRUE(served_.models()->Record(&third.context, request, &reply).ok());
  EXPECT_EQ(reply.points_size(), 0);
}

TEST_F(ServicesTest, RefuseAReportOfTooManyPoints) {
  flowloom::v1::TrainingReport report;
  for (int step = 0; step <= limits::kReportedPoints; ++step) report.add_points()->set_step(step);
  Call call(served_);
  flowloom::v1::ReportReply reply;
  EXPECT_EQ(served_.models()->Report(&call.context, report, &reply).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServicesTest, SayThatTheRunCannotGoOnIfTrainingFailedBeforeItsVersion) {
  Call call(served_);
  flowloom::v1::TrainingReport report;
  report.set_state(flowloom::v1::TrainingReport::STATE_FAILED);
  report.set_sentence("The loss is not finite.");
  flowloom::v1::ReportReply reply;
  EXPECT_TRUE(served_.models()->Report(&call.context, report, &reply).ok());
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_HALTED);
  EXPECT_THAT(served_.status().sentence(), HasSubstr("The loss is not finite."));
}

TEST_F(ServicesTest, TellWatchersOfEveryNewVersion) {
  Call call(served_);
  const auto reader = served_.models()->Watch(&call.context, {});
  flowloom::v1::ListReply reply;
  ASSERT_TRUE(reader->Read(&reply));
  EXPECT_EQ(reply.versions_size(), 0);
  served_.publish(checkpoint_bytes(served_.run));
  ASSERT_TRUE(reader->Read(&reply));
  EXPECT_EQ(reply.versions_size(), 1);
  EXPECT_FALSE(reply.versions(0).verified());
  HandWorker worker(served_, 4);
  worker.work();
  bool verified = false, placed = false;
  while (reader->Read(&reply)) {
    verified = reply.versions(0).verified();
    placed = reply.switches_size() == 1;
  }
  EXPECT_TRUE(verified && placed);
  EXPECT_TRUE(reader->Finish().ok());  // the chain is complete
}

// ---------------------------------------------------------------------------------------------------- the chain

class StatesTest : public ServicesTest {
 protected:
  std::vector<flowloom::v1::StatesReply> states(std::uint64_t first_index, bool follow) {
    Call call(served_);
    flowloom::v1::StreamStatesRequest request;
    request.set_first_index(first_index);
    request.set_follow(follow);
    const auto reader = served_.chain()->StreamStates(&call.context, request);
    std::vector<flowloom::v1::StatesReply> replies;
    for (flowloom::v1::StatesReply reply; reader->Read(&reply);) replies.push_back(reply);
    EXPECT_TRUE(reader->Finish().ok());
    return replies;
  }
  void expect_units(const std::vector<flowloom::v1::StatesReply>& replies, std::uint64_t first_unit) {
    ASSERT_EQ(replies.size(), 24 - first_unit);
    const Numbers numbers;
    for (std::size_t i = 0; i < replies.size(); ++i) {
      const std::uint64_t unit = first_unit + i;
      UnitData data = numbers.unit(unit, 4, {1, {}, 0, 0, 0, "version 1", true});
      for (auto* values : {&data.log_p, &data.log_q, &data.sums}) canonicalize(*values);
      EXPECT_EQ(replies[i].first_index(), 4 * unit);
      EXPECT_EQ(replies[i].count(), 4u);
      EXPECT_EQ(replies[i].version(), 1u);
      EXPECT_EQ(replies[i].log_p(), pack(data.log_p));
      EXPECT_EQ(replies[i].log_q(), pack(data.log_q));
      EXPECT_EQ(replies[i].sums(), pack(data.sums));
      EXPECT_EQ(replies[i].accepted().size(), 4u);
      EXPECT_EQ(replies[i].columns_size(), i == 0 ? 4 : 0);
    }
  }
};

TEST_F(StatesTest, AreStreamedFromTheUnitThatHoldsAnyIndex) {
  complete();
  for (const std::uint64_t index : {0, 3, 4, 50, 95}) expect_units(states(index, false), index / 4);
}

TEST_F(StatesTest, AreNoneAtOrAboveTheFrontier) {
  complete();
  for (const std::uint64_t index :
       {std::uint64_t{96}, std::uint64_t{1000}, std::numeric_limits<std::uint64_t>::max()}) {
    EXPECT_TRUE(states(index, false).empty());
    EXPECT_TRUE(states(index, true).empty());  // the chain has ended
  }
}

TEST_F(StatesTest, FollowTheLiveChainToItsEnd) {
  std::vector<flowloom::v1::StatesReply> replies;
  std::thread follower([&] { replies = states(10, true); });
  complete();
  follower.join();
  expect_units(replies, 2);
}

TEST_F(StatesTest, EndAtTheFrontierOfALiveChain) {
  EXPECT_TRUE(states(0, false).empty());
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker worker(served_, 1);
  worker.answer(*worker.read_until(CoordinatorMessage::kSample));
  ASSERT_TRUE(served_.reaches(4));
  EXPECT_EQ(states(0, false).size(), 1u);
}

TEST_F(ServicesTest, ShowTheStatusNowAndAtIntervalsUntilTheEnd) {
  Call call(served_);
  flowloom::v1::WatchStatusRequest request;
  request.set_interval_seconds(0.1);
  const auto reader = served_.chain()->WatchStatus(&call.context, request);
  StatusReply reply;
  ASSERT_TRUE(reader->Read(&reply));
  EXPECT_EQ(reply.state(), StatusReply::STATE_WAITING);
  EXPECT_EQ(reply.proposals(), 0u);
  complete();
  while (reader->Read(&reply)) continue;
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(reply.state(), StatusReply::STATE_COMPLETE);
  EXPECT_EQ(reply.proposals(), 96u);
}

TEST_F(ServicesTest, DrawAtLeastOneUnitAgainHoweverSmallTheShare) {
  complete();
  for (const std::uint32_t seed : {3u, 4u}) {
    Call call(served_);
    flowloom::v1::RecheckRequest request;
    request.set_share(1e-9);
    request.set_seed(seed);
    flowloom::v1::RecheckReply reply;
    ASSERT_TRUE(served_.chain()->Recheck(&call.context, request, &reply).ok());
    HandWorker(served_, 2).work();
    const auto recheck = served_.status().recheck();
    EXPECT_TRUE(recheck.done());
    EXPECT_EQ(recheck.seed(), seed);
    EXPECT_EQ(recheck.checked_units(), 1u);
  }
}

TEST_F(ServicesTest, RefuseAnIntervalThatIsNone) {
  for (const double interval : {0.0, 0.09, 61.0, -1.0, std::nan("")}) {
    Call call(served_);
    flowloom::v1::WatchStatusRequest request;
    request.set_interval_seconds(interval);
    const auto reader = served_.chain()->WatchStatus(&call.context, request);
    StatusReply reply;
    EXPECT_FALSE(reader->Read(&reply));
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(ServicesTest, ForgetSubscribersThatHangUp) {
  for (int i = 0; i < 20; ++i) {
    Call call(served_);
    flowloom::v1::WatchStatusRequest request;
    request.set_interval_seconds(0.1);
    const auto reader = served_.chain()->WatchStatus(&call.context, request);
    StatusReply reply;
    if (i % 2) reader->Read(&reply);
    call.context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  }
  complete();
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_COMPLETE);
}

// --------------------------------------------------------------------------------------------------- the end

// True if the coordinator's program would leave now.
bool finishes(Brain& brain) {
  std::atomic<bool> finished = false;
  std::thread waiter([&] {
    brain.wait_until_finished();
    finished = true;
  });
  for (int i = 0; i < 3000 && !finished; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const bool result = finished;
  if (!result) brain.drain();
  waiter.join();
  return result;
}

TEST_F(ServicesTest, EndByThemselvesWhenTheChainIsCompleteUnlessToldToStay) {
  served_.stop();
  served_.start(false);
  complete();
  EXPECT_TRUE(finishes(*served_.brain));
}

TEST_F(ServicesTest, EndOnlyOnceThoseWhoReadTheChainHaveReadIt) {
  constexpr std::uint64_t kLength = 400 * 1024;  // 20 MB: more than what is on its way
  Served served(RunText{.unit = 1024, .length = kLength, .window = 32, .switches = {0}}, false);
  served.publish(checkpoint_bytes(served.run));
  Call call(served, std::chrono::seconds(60));
  flowloom::v1::StreamStatesRequest request;
  request.set_follow(true);
  const auto reader = served.chain()->StreamStates(&call.context, request);
  HandWorker worker(served, 32);
  worker.work_in_background();
  ASSERT_TRUE(served.reaches(kLength));
  std::atomic<bool> left = false;
  std::thread waiter([&] {
    served.brain->wait_until_finished();
    left = true;
  });
  std::uint64_t read = 0;
  flowloom::v1::StatesReply reply;
  for (int i = 0; i < 200 && reader->Read(&reply); ++i) {  // 5 s, above the farewell of those who do not read
    read += reply.count();
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  EXPECT_FALSE(left);
  while (reader->Read(&reply)) read += reply.count();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(read, kLength);
  waiter.join();
}

TEST_F(ServicesTest, EndHoweverOftenSomebodyComesToReadAgain) {
  served_.stop();
  served_.start(false);
  complete();
  std::atomic<bool> over = false;
  std::thread reader([&] {
    while (!over) {
      Call call(served_);
      const auto stream = served_.chain()->StreamStates(&call.context, {});
      for (flowloom::v1::StatesReply reply; stream->Read(&reply);) continue;
      stream->Finish();
    }
  });
  EXPECT_TRUE(finishes(*served_.brain));
  over = true;
  reader.join();
}

TEST_F(ServicesTest, EndOnlyOnceATrainerAtWorkWasTold) {
  served_.stop();
  served_.start(false);
  const auto report = [&] {
    Call call(served_);
    flowloom::v1::TrainingReport training;
    training.set_state(flowloom::v1::TrainingReport::STATE_TRAINING);
    flowloom::v1::ReportReply reply;
    EXPECT_TRUE(served_.models()->Report(&call.context, training, &reply).ok());
    return reply.complete();
  };
  EXPECT_FALSE(report());
  complete();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // some turns, all below the longest farewell
  EXPECT_TRUE(report());
  EXPECT_TRUE(finishes(*served_.brain));
}

TEST_F(ServicesTest, StayWhenACompleteChainIsOpenedAgain) {
  complete();
  served_.stop();
  served_.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // a few turns
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_COMPLETE);
  std::atomic<bool> left = false;
  std::thread waiter([&] {
    served_.brain->wait_until_finished();
    left = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_FALSE(left);
  served_.brain->drain();
  waiter.join();
}

TEST_F(ServicesTest, EndWhenDrained) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker worker(served_, 2);
  const auto first = worker.read_until(CoordinatorMessage::kSample);
  const auto second = worker.read_until(CoordinatorMessage::kSample);
  ASSERT_TRUE(first && second);
  Call call(served_);
  flowloom::v1::DrainReply reply;
  ASSERT_TRUE(served_.chain()->Drain(&call.context, {}, &reply).ok());
  ASSERT_TRUE(worker.read_until(CoordinatorMessage::kGoodbye));
  EXPECT_EQ(served_.status().state(), StatusReply::STATE_DRAINING);
  worker.answer(*first);
  worker.answer(*second);
  EXPECT_TRUE(served_.reaches(8));
  worker.cancel();
  EXPECT_TRUE(finishes(*served_.brain));
}

// Everything at once, for the sanitizers as much as for the result.
TEST_F(ServicesTest, ServeManyAtOnce) {
  Served calm(RunText{.length = 4000, .window = 32, .switches = {0, 1000, 3000}});
  Served busy(RunText{.length = 4000, .window = 32, .switches = {0, 1000, 3000}});
  for (Served* served : {&calm, &busy}) {
    for (const std::uint32_t entry : {0u, 1u, 2u}) {
      served->publish(checkpoint_bytes(served->run, "checkpoint " + std::to_string(entry)), {entry});
    }
  }
  HandWorker(calm, 8).work();
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([&, i] {
      for (int round = 0; round < 6; ++round) {
        Call call(busy);
        if (i % 3 == 0) {
          flowloom::v1::WatchStatusRequest request;
          request.set_interval_seconds(0.1);
          const auto reader = busy.chain()->WatchStatus(&call.context, request);
          StatusReply reply;
          for (int k = 0; k < round && reader->Read(&reply);) ++k;
          call.context.TryCancel();
        } else if (i % 3 == 1) {
          flowloom::v1::StreamStatesRequest request;
          request.set_follow(round % 2 == 0);
          const auto reader = busy.chain()->StreamStates(&call.context, request);
          flowloom::v1::StatesReply reply;
          for (int k = 0; k < 40 && reader->Read(&reply);) ++k;
          call.context.TryCancel();
        } else {
          HandWorker worker(busy, 4);
          for (int k = 0; k < 20 * round; ++k) {
            const auto message = worker.read();
            if (!message || message->has_goodbye()) break;
            worker.answer(*message);
          }
        }
      }
    });
  }
  {
    HandWorker first(busy, 8), second(busy, 3);
    first.work_in_background();
    second.work_in_background();
    for (std::thread& client : clients) client.join();
    EXPECT_TRUE(busy.reaches(4000));
  }
  EXPECT_EQ(busy.status().head(), calm.status().head());
}

// A coordinator that goes down under its clients leaves none of them hanging.
TEST_F(ServicesTest, EndEveryStreamWhenTheyAreShutDown) {
  served_.publish(checkpoint_bytes(served_.run));
  HandWorker worker(served_, 1);
  worker.read_until(CoordinatorMessage::kSample);
  Call watch(served_), states(served_);
  flowloom::v1::WatchStatusRequest request;
  request.set_interval_seconds(60);
  const auto statuses = served_.chain()->WatchStatus(&watch.context, request);
  StatusReply status;
  ASSERT_TRUE(statuses->Read(&status));
  flowloom::v1::StreamStatesRequest follow;
  follow.set_follow(true);
  const auto units = served_.chain()->StreamStates(&states.context, follow);
  served_.stop();
  EXPECT_FALSE(statuses->Read(&status));
  EXPECT_FALSE(statuses->Finish().ok());
  flowloom::v1::StatesReply unit;
  EXPECT_FALSE(units->Read(&unit));
  EXPECT_FALSE(units->Finish().ok());
  EXPECT_FALSE(worker.read());
}

// ------------------------------------------------------------------------------------------------------ addresses

Error refusal_of(const std::string& address, bool insecure = false) {
  return error_of_opening([&] { refuse_unusable_address(address, insecure); });
}

TEST(ListenAddress, OnLoopbackWithAFreePortIsGood) {
  for (const char* address : {"127.0.0.1:0", "localhost:0", "127.1.2.3:0"}) {
    EXPECT_NO_THROW(refuse_unusable_address(address, false)) << address;
  }
}

TEST(ListenAddress, OffLoopbackNeedsInsecureByName) {
  for (const char* address : {"0.0.0.0:0", "10.0.0.1:4000", "[::]:0", "127.example.org:0", "localhost.example.org:0"}) {
    const Error error = refusal_of(address);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << address;
    EXPECT_THAT(error.what(), HasSubstr("--insecure"));
  }
  EXPECT_NO_THROW(refuse_unusable_address("0.0.0.0:0", true));
}

TEST(ListenAddress, MustHaveAPort) {
  for (const char* address :
       {"4000", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1000000"}) {
    const Error error = refusal_of(address);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput) << address;
    EXPECT_THAT(error.what(), HasSubstr("must be HOST:PORT"));
  }
}

TEST(ListenAddress, IsRefusedIfItsNameIsNotKnown) {
  const std::string name(64, 'x');  // longer than a label of a name may be: nobody is asked
  const Error error = refusal_of(name + ":4000", true);
  EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(error.what(), HasSubstr("the name '" + name + "' is not known here"));
}

TEST(ListenAddress, IsRefusedIfThePortIsInUse) {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor taken(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
  const std::string address = "127.0.0.1:" + std::to_string(taken.local_endpoint().port());
  const Error error = refusal_of(address);
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_THAT(error.what(), HasSubstr(address));
}

TEST(ListenAddress, IsRefusedIfItIsAnotherHosts) {
  EXPECT_EQ(refusal_of("192.0.2.1:0", true).code(), ErrorCode::kConflict);
}

TEST_F(ServicesTest, RefuseAPortThatAnotherCoordinatorHas) {
  Served other(RunText{});
  const std::string address = other.services->address();
  EXPECT_EQ(refusal_of(address).code(), ErrorCode::kConflict);
  EXPECT_EQ(error_of_opening([&] { Services(*served_.brain, address, "token"); }).code(), ErrorCode::kConflict);
}

}  // namespace
}  // namespace flowloom
