// The worker's side of the stream, against a coordinator in this process that says what the test wants.
#include "worker/session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "spec/files.h"
#include "worker/worker.h"
#include "worker_fakes.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Hello;
using flowloom::v1::Refusal;
using flowloom::v1::WorkerMessage;
using Fake = FakeCoordinator;
using std::chrono::milliseconds;

class SessionTest : public ::testing::Test {
 protected:
  // Answers of the worker until it closes its side.
  static std::vector<WorkerMessage> rest(Fake::Stream& stream) {
    std::vector<WorkerMessage> messages;
    for (WorkerMessage message; stream.Read(&message);) messages.push_back(message);
    return messages;
  }
  static WorkerMessage next(Fake::Stream& stream) {
    WorkerMessage message;
    stream.Read(&message);
    return message;
  }

  Session session(const Fake& fake) {
    return Session(fake.peer(), engines_, shelf_, last_seen_, options_, [this] { ++joined_; });
  }
  SessionEnd run_with(Fake::Script script, std::stop_token stop = {}) {
    Fake fake(std::move(script));
    return session(fake).run(stop);
  }
  Error error_with(Fake::Script script) {
    try {
      run_with(std::move(script));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return Error(ErrorCode::kInternal, "");
  }

  RunSpec run_ = small_run();
  std::string one_ = small_checkpoint("one").bytes(), two_ = small_checkpoint("two").bytes();
  Engines engines_ = only_lanes();
  ModelShelf shelf_;
  LastSeen last_seen_;
  SessionOptions options_{.name = "test",
                          .credits = 3,
                          .identity = {},
                          .welcome_deadline = milliseconds(5000),
                          .leave_deadline = milliseconds(300)};
  int joined_ = 0;
};

TEST_F(SessionTest, HelloSaysWhatTheWorkerCanDo) {
  Hello hello;
  run_with([&](Fake::Stream& stream, const Hello& said) {
    hello = said;
    stream.Write(Fake::welcome(run_));
    stream.Write(Fake::goodbye(0));
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(hello.name(), "test");
  EXPECT_EQ(hello.protocol(), "flowloom.v1");
  EXPECT_EQ(hello.credits(), 3u);
  EXPECT_TRUE(hello.identity().empty());
  ASSERT_EQ(hello.engines_size(), 2);
  EXPECT_EQ(hello.engines(0).engine(), "lanes");
  EXPECT_EQ(hello.engines(0).precision(), "mixed");
  EXPECT_EQ(hello.engines(1).precision(), "float64");
  EXPECT_EQ(hello.engines(0).build(), lane_engine().build());
  EXPECT_EQ(joined_, 1);
}

TEST_F(SessionTest, AGoodbyeIsFollowedAfterEverythingBeforeItIsAnswered) {
  std::vector<WorkerMessage> answers;
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(fake->prepare_message(1));
    stream.Write(Fake::grant(2, 2, 1));
    stream.Write(Fake::grant(7, 1, 1));
    stream.Write(Fake::goodbye(1.5));
    answers = rest(stream);
    return grpc::Status::OK;
  });
  fake = &coordinator;
  coordinator.add(1, one_);
  const SessionEnd end = session(coordinator).run({});
  EXPECT_EQ(end.kind, SessionEnd::Kind::kGoodbye);
  EXPECT_EQ(end.reconnect_after, milliseconds(1500));
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0].ready().version(), 1u);
  for (std::size_t i = 0; i < 3; ++i) {
    const std::uint64_t unit = std::vector<std::uint64_t>{2, 3, 7}[i];
    ASSERT_TRUE(answers[i + 1].has_sample());
    EXPECT_EQ(answers[i + 1].sample().unit(), unit);
    EXPECT_EQ(answers[i + 1].sample().epoch(), 3u);
    const Draws draws = model_of(small_checkpoint("one"), run_)->draw(run_.noise_key(), Purpose::kBase, unit * 16, 16);
    EXPECT_EQ(unpacked(answers[i + 1].sample().log_q()), draws.log_q);
  }
}

TEST_F(SessionTest, AReweighFetchesTheStatesVersionByItself) {
  WorkerMessage answer;
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(fake->prepare_message(2));
    next(stream);
    flowloom::v1::CoordinatorMessage message;
    message.mutable_reweigh()->set_index(35);
    message.mutable_reweigh()->set_unit_size(16);
    message.mutable_reweigh()->set_state_version(1);
    message.mutable_reweigh()->set_version(2);
    stream.Write(message);
    answer = next(stream);
    stream.Write(Fake::goodbye(0));
    rest(stream);
    return grpc::Status::OK;
  });
  fake = &coordinator;
  coordinator.add(1, one_);
  coordinator.add(2, two_);
  session(coordinator).run({});
  EXPECT_TRUE(answer.has_reweigh());
  EXPECT_LT(answer.reweigh().round_trip(), 1e-10);
  EXPECT_GT(answer.reweigh().mismatch(), 0) << "the grant's log_p and log_q are zeros";
}

TEST_F(SessionTest, WhatACoordinatorSaidOfItsLogIsToldToTheNextOne) {
  std::vector<Hello> hellos;
  Fake coordinator([&](Fake::Stream& stream, const Hello& said) {
    hellos.push_back(said);
    stream.Write(Fake::welcome(run_));
    CoordinatorMessage message;
    message.mutable_seen()->set_run_id("run");
    message.mutable_seen()->set_records(hellos.size());
    stream.Write(message);
    stream.Write(Fake::goodbye(1));
    rest(stream);
    return grpc::Status::OK;
  });
  for (int i = 0; i < 3; ++i) session(coordinator).run({});
  ASSERT_EQ(hellos.size(), 3u);
  EXPECT_EQ(hellos[0].run().run_id(), "");
  for (const std::uint64_t i : {1u, 2u}) {
    EXPECT_EQ(hellos[i].seen().records(), i);
    EXPECT_EQ(hellos[i].run().run_id(), "run");
  }
}

TEST_F(SessionTest, LoadedModelsOutliveAConnection) {
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(fake->prepare_message(1));
    EXPECT_TRUE(next(stream).has_ready());
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  });
  fake = &coordinator;
  coordinator.add(1, one_);
  for (int i = 0; i < 3; ++i) {
    const SessionEnd end = session(coordinator).run({});
    EXPECT_EQ(end.kind, SessionEnd::Kind::kLost);
    EXPECT_NE(end.sentence.find("gone"), std::string::npos) << end.sentence;
  }
  EXPECT_EQ(coordinator.fetches(), 1);
}

TEST_F(SessionTest, ADamagedTransferIsRepeatedAFewTimesAndThenReported) {
  for (const int damaged : {2, 100}) {
    WorkerMessage answer;
    Fake* fake = nullptr;
    Fake coordinator([&](Fake::Stream& stream, const Hello&) {
      stream.Write(Fake::welcome(run_));
      stream.Write(fake->prepare_message(1));
      answer = next(stream);
      return grpc::Status::OK;
    });
    fake = &coordinator;
    coordinator.add(1, one_);
    coordinator.damage_transfers(damaged);
    shelf_ = ModelShelf();
    session(coordinator).run({});
    EXPECT_EQ(coordinator.fetches(), 3);
    if (damaged == 2) {
      EXPECT_TRUE(answer.has_ready());
    } else {
      EXPECT_NE(answer.not_ready().sentence().find("did not arrive whole"), std::string::npos) << answer.DebugString();
    }
  }
}

TEST_F(SessionTest, SaysHowFarAVersionIsToACoordinatorThatAsks) {
  using flowloom::v1::Loading;
  std::vector<WorkerMessage> answers;
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    auto prepare = fake->prepare_message(1);
    prepare.mutable_prepare()->set_progress(true);
    stream.Write(prepare);
    for (int i = 0; i < 3; ++i) answers.push_back(next(stream));
    return grpc::Status::OK;
  });
  fake = &coordinator;
  coordinator.add(1, one_);
  session(coordinator).run({});
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].loading().step(), Loading::STEP_FETCHED);
  EXPECT_EQ(answers[1].loading().step(), Loading::STEP_VERIFIED);
  EXPECT_EQ(answers[2].ready().version(), 1u);
}

class ExactnessRule9 : public SessionTest {};

TEST_F(ExactnessRule9, AVersionThatThisMachineDoesNotReproduceIsNotReady) {
  Checkpoint checkpoint = small_checkpoint("one");
  checkpoint.references.log_p[0] += 1;
  WorkerMessage answer, sample;
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(fake->prepare_message(1));
    answer = next(stream);
    stream.Write(Fake::grant(4, 1, 1));
    sample = next(stream);
    return grpc::Status::OK;
  });
  fake = &coordinator;
  coordinator.add(1, checkpoint.bytes());
  session(coordinator).run({});
  EXPECT_EQ(answer.not_ready().version(), 1u);
  EXPECT_NE(answer.not_ready().sentence().find("they differ by 1"), std::string::npos) << answer.DebugString();
  EXPECT_EQ(sample.failure().unit(), 4u);
}

TEST_F(SessionTest, ARefusalThatWillNotPassThrowsItsSentence) {
  const Error error = error_with([](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::refusal(Refusal::CODE_WRONG_RUN, "This coordinator owns another run."));
    return grpc::Status::OK;
  });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_STREQ(error.what(), "This coordinator owns another run.");
}

TEST_F(SessionTest, ARefusalForNumericsAlsoSaysWhatIsMissingHere) {
  const Error error = error_with([](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::refusal(Refusal::CODE_NUMERICS, "This run is pinned to torch."));
    return grpc::Status::OK;
  });
  EXPECT_STREQ(error.what(), "This run is pinned to torch. LibTorch is not here.");
}

TEST_F(SessionTest, ARefusalWithoutACodeMayPass) {
  const SessionEnd end = run_with([](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::refusal(Refusal::CODE_UNSPECIFIED, "The disk is full."));
    return grpc::Status::OK;
  });
  EXPECT_EQ(end.kind, SessionEnd::Kind::kLost);
  EXPECT_EQ(end.sentence, "The disk is full.");
  EXPECT_EQ(joined_, 0);
}

TEST_F(SessionTest, ARefusalAfterWelcomeIsNoEnd) {
  const SessionEnd end = run_with([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(Fake::refusal(Refusal::CODE_NEVER_LEASED, "Unit 3 is not wanted."));
    stream.Write(Fake::goodbye(0));
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(end.kind, SessionEnd::Kind::kGoodbye);
}

TEST_F(SessionTest, ARunFileThatReadsAsAnotherIdentityIsRefused) {
  const Error error = error_with([&](Fake::Stream& stream, const Hello&) {
    auto message = Fake::welcome(run_);
    message.mutable_welcome()->set_identity(std::string(32, 'x'));
    stream.Write(message);
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
  EXPECT_NE(std::string(error.what()).find("same version of Flowloom"), std::string::npos) << error.what();
}

TEST_F(SessionTest, AnotherRunThanTheExpectedOneIsRefusedEvenIfTheCoordinatorDoesNotMind) {
  options_.identity = sha256("another");
  Hello hello;
  const Error error = error_with([&](Fake::Stream& stream, const Hello& said) {
    hello = said;
    stream.Write(Fake::welcome(run_));
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_NE(std::string(error.what()).find("told to expect " + to_hex(*options_.identity)), std::string::npos)
      << error.what();
  EXPECT_EQ(hello.identity().size(), 32u);
}

TEST_F(SessionTest, AWrongTokenIsNotTriedAgain) {
  const Error error = error_with([](Fake::Stream&, const Hello&) {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "This coordinator wants the token of its run directory.");
  });
  EXPECT_EQ(error.code(), ErrorCode::kUnauthenticated);
}

TEST_F(SessionTest, AMessageBeforeWelcomeIsRefused) {
  const Error error = error_with([](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::grant(0, 1, 1));
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(error.code(), ErrorCode::kConflict);
}

TEST_F(SessionTest, ACoordinatorThatNeverSaysWelcomeIsGivenUp) {
  options_.welcome_deadline = milliseconds(100);
  const SessionEnd end = run_with([](Fake::Stream& stream, const Hello&) {
    rest(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(end.kind, SessionEnd::Kind::kLost);
  EXPECT_EQ(end.sentence, "no Welcome came");
}

TEST_F(SessionTest, AStopTakesTheCreditsBackFinishesTheUnitInHandAndLeaves) {
  std::stop_source stop;
  std::vector<WorkerMessage> answers;
  Fake* fake = nullptr;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(fake->prepare_message(1));
    next(stream);
    stream.Write(Fake::grant(0, 1000000, 1));  // hours of work
    EXPECT_EQ(next(stream).sample().unit(), 0u);
    stop.request_stop();
    answers = rest(stream);
    return grpc::Status::OK;
  });
  fake = &coordinator;
  coordinator.add(1, one_);
  const SessionEnd end = session(coordinator).run(stop.get_token());
  EXPECT_EQ(end.kind, SessionEnd::Kind::kStopped);
  ASSERT_FALSE(answers.empty());
  std::uint64_t expected = 1;
  int credits = 0;
  for (const WorkerMessage& message : answers) {
    if (message.has_credit()) {
      EXPECT_EQ(message.credit().credits(), 0u);
      ++credits;
    } else {
      EXPECT_EQ(message.sample().unit(), expected++) << "whole units only, none left out";
    }
  }
  EXPECT_EQ(credits, 1);
}

TEST_F(SessionTest, AStopBeforeWelcomeLeavesAtOnce) {
  std::stop_source stop;
  const SessionEnd end = run_with(
      [&](Fake::Stream& stream, const Hello&) {
        stop.request_stop();
        rest(stream);
        return grpc::Status::OK;
      },
      stop.get_token());
  EXPECT_EQ(end.kind, SessionEnd::Kind::kStopped);
}

TEST_F(SessionTest, ACoordinatorThatDoesNotEndItsSideIsCutOff) {
  std::stop_source stop;
  const SessionEnd end = run_with(
      [&](Fake::Stream& stream, const Hello&) {
        stream.Write(Fake::welcome(run_));
        stop.request_stop();
        rest(stream);
        std::this_thread::sleep_for(milliseconds(1000));  // the leave deadline is 300 ms
        return grpc::Status::OK;
      },
      stop.get_token());
  EXPECT_EQ(end.kind, SessionEnd::Kind::kStopped);
}

TEST_F(SessionTest, NobodyAtTheAddressIsALostConnection) {
  std::string address;
  {
    const Fake fake([](Fake::Stream&, const Hello&) { return grpc::Status::OK; });
    address = fake.address();
  }
  Session session({address, "token", open_channel(address, false)}, engines_, shelf_, last_seen_, options_, [] {});
  EXPECT_EQ(session.run({}).kind, SessionEnd::Kind::kLost);
}

// ---------------------------------------------------------------------- a worker's life

class WorkTest : public ::testing::Test {
 protected:
  WorkTest() {
    token_ = std::filesystem::temp_directory_path() / ("flowloom-token-" + std::to_string(::getpid()));
    write_file_atomically(token_, "token\n", 0600);
  }
  ~WorkTest() override { std::filesystem::remove(token_); }

  PeerFinder finder(const std::string& address) const {
    return PeerFinder({.directory = {}, .address = address, .token_file = token_, .insecure = false});
  }

  std::filesystem::path token_;
  RunSpec run_ = small_run();
  WorkerOptions options_{.session = {.name = "test", .credits = 2, .identity = {}}, .wait = milliseconds(20000)};
};

TEST_F(WorkTest, ComesBackAfterALossAndAGoodbyeAndEndsWhenTheRunIsComplete) {
  std::atomic<int> visit = 0;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    switch (++visit) {
      case 1:
        stream.Write(Fake::refusal(Refusal::CODE_UNSPECIFIED, "Not yet."));
        return grpc::Status::OK;
      case 2:
        stream.Write(Fake::welcome(run_));
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "crashed");
      default:
        stream.Write(Fake::welcome(run_));
        stream.Write(Fake::goodbye(visit == 3 ? 0.05 : 0));
        for (WorkerMessage message; stream.Read(&message);) {
        }
        return grpc::Status::OK;
    }
  });
  work(finder(coordinator.address()), only_lanes(), options_, {});
  EXPECT_EQ(coordinator.streams(), 4);
}

TEST_F(WorkTest, GivesUpIfNobodyTakesItInInTime) {
  options_.wait = milliseconds(2000);  // room for a second visit on a busy machine
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::refusal(Refusal::CODE_UNSPECIFIED, "The disk is full."));
    return grpc::Status::OK;
  });
  try {
    work(finder(coordinator.address()), only_lanes(), options_, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("The disk is full."), std::string::npos) << error.what();
  }
  EXPECT_GT(coordinator.streams(), 1);
}

TEST_F(WorkTest, AStopEndsTheWaiting) {
  std::stop_source stop;
  Fake coordinator([&](Fake::Stream& stream, const Hello&) {
    stream.Write(Fake::welcome(run_));
    stream.Write(Fake::goodbye(3000));
    for (WorkerMessage message; stream.Read(&message);) {
    }
    stop.request_stop();
    return grpc::Status::OK;
  });
  work(finder(coordinator.address()), only_lanes(), options_, stop.get_token());
  EXPECT_EQ(coordinator.streams(), 1);
}

}  // namespace
}  // namespace flowloom
