#include "program/rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace flowloom {
namespace {

using testing::HasSubstr;

TEST(Rpc, TurnsEveryErrorIntoAStatusWithItsSentence) {
  for (const ErrorCode code : {ErrorCode::kInvalidInput, ErrorCode::kNotFound, ErrorCode::kConflict,
                               ErrorCode::kCorrupt, ErrorCode::kUnauthenticated, ErrorCode::kPermissionDenied,
                               ErrorCode::kUnavailable, ErrorCode::kHalted, ErrorCode::kInternal}) {
    const grpc::Status status = to_status(Error(code, "a sentence"));
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.error_message(), "a sentence");
  }
}

// kHalted shares kConflict's status, so it alone does not come back as itself.
TEST(Rpc, GivesTheSameCodeBackAtTheOtherEnd) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidInput, ErrorCode::kNotFound, ErrorCode::kConflict, ErrorCode::kCorrupt,
        ErrorCode::kUnauthenticated, ErrorCode::kPermissionDenied, ErrorCode::kUnavailable, ErrorCode::kInternal}) {
    const Error back = to_error(to_status(Error(code, "a sentence")), "The coordinator");
    EXPECT_EQ(back.code(), code);
    EXPECT_THAT(back.what(), HasSubstr("The coordinator"));
    EXPECT_THAT(back.what(), HasSubstr("a sentence"));
  }
}

TEST(Rpc, WhenToComeBackTravelsWithTheError) {
  const Error down(ErrorCode::kUnavailable, "going down", std::chrono::milliseconds(1500));
  const Error back = to_error(to_status(down), "The coordinator");
  EXPECT_EQ(back.retry_after(), std::chrono::milliseconds(1500));
  EXPECT_STREQ(back.what(), "The coordinator: going down");
  EXPECT_EQ(to_error(to_status(Error(ErrorCode::kUnavailable, "no room")), "x").retry_after().count(), 0);
}

TEST(Rpc, AWaitThatAPeerNamesIsBounded) {
  EXPECT_EQ(wait_of(0.0001), std::chrono::milliseconds(1));
  EXPECT_EQ(wait_of(1e300), std::chrono::hours(1));
  for (const double none : {0.0, -1.0, std::nan("")}) EXPECT_EQ(wait_of(none).count(), 0) << none;
}

TEST(Rpc, OfGrpcsOwnWordsOnlyTheCauseIsTold) {
  const std::string words =
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: "
      "Connection refused";
  EXPECT_STREQ(to_error(grpc::Status(grpc::StatusCode::UNAVAILABLE, words), "The coordinator").what(),
               "The coordinator does not answer (Connection refused); check that it runs.");
}

TEST(Rpc, AMissedDeadlineMeansThatThePeerDoesNotAnswer) {
  const Error error = to_error(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "late"), "The coordinator");
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("does not answer"));
}

TEST(Rpc, AStatusThatWeNeverSendIsInternal) {
  EXPECT_EQ(to_error(grpc::Status(grpc::StatusCode::ABORTED, ""), "x").code(), ErrorCode::kInternal);
}

TEST(Rpc, GuardedWorkEndsInAStatusWhateverItThrows) {
  EXPECT_TRUE(guarded([] {}).ok());
  EXPECT_EQ(guarded([] { throw Error(ErrorCode::kNotFound, "x"); }).error_code(), grpc::StatusCode::NOT_FOUND);
  const grpc::Status bug = guarded([] { throw std::logic_error("what"); });
  EXPECT_EQ(bug.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(bug.error_message(), HasSubstr("A bug in Flowloom: what"));
}

TEST(Loopback, AChannelToAnyOtherPlaceNeedsInsecureByName) {
  EXPECT_NO_THROW(open_channel("127.0.0.1:1", false));
  EXPECT_NO_THROW(open_channel("10.0.0.1:1", true));
  EXPECT_THROW(open_channel("10.0.0.1:1", false), Error);
  EXPECT_THROW(open_channel("127.example.org:1", false), Error);
}

}  // namespace
}  // namespace flowloom
