#include "program/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using Clock = std::chrono::steady_clock;

class RetryTest : public testing::Test {
 protected:
  // How long one failure waits.
  Clock::duration failed(Retry& retry) {
    const auto start = Clock::now();
    EXPECT_TRUE(retry.failed("no answer", {}));
    return Clock::now() - start;
  }
  std::vector<std::string> said_;
  Retry::Log log_ = [this](const std::string& line) { said_.push_back(line); };
};

TEST_F(RetryTest, SaysOnceThatTheConnectionIsLostAndOnceThatItIsBack) {
  Retry retry("the coordinator", log_, 1ms, 2ms);
  retry.succeeded();
  failed(retry);
  failed(retry);
  retry.succeeded();
  retry.succeeded();
  EXPECT_THAT(said_, ElementsAre("Connection to the coordinator is lost (no answer); trying again.",
                                 "Connection to the coordinator is back."));
}

TEST_F(RetryTest, WaitsAtLeastHalfOfTwiceAsLongEachTimeUpToItsCap) {
  Retry retry("x", log_, 8ms, 20ms);
  for (const auto least : {4ms, 8ms, 10ms, 10ms}) EXPECT_GE(failed(retry), least);
}

TEST_F(RetryTest, LeavesAPeerAloneUntilTheTimeThatItNamedAndNotAllInOneMoment) {
  std::set<std::int64_t> waits;
  for (int i = 0; i < 5; ++i) {
    Retry retry("x", log_, 1ms, 2ms);
    const auto start = Clock::now();
    EXPECT_TRUE(retry.failed("going down", {}, 40ms));
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    EXPECT_GE(waited, 40ms);
    waits.insert(waited.count());
  }
  EXPECT_GT(waits.size(), 1u);  // all five in one millisecond of forty: once in 2.5 million times
}

TEST_F(RetryTest, ASentenceStandsInItsLineWithoutItsFullStop) {
  Retry retry("x", log_, 1ms, 2ms);
  EXPECT_TRUE(retry.failed("It does not answer.", {}));
  EXPECT_THAT(said_, ElementsAre("No connection to x yet (It does not answer); trying again."));
}

TEST_F(RetryTest, StartsAnewAfterASuccess) {
  Retry retry("x", log_, 1ms, 10s);
  for (int i = 0; i < 9; ++i) failed(retry);  // the next wait is 256 ms at least
  retry.succeeded();
  EXPECT_LT(failed(retry), 200ms);
}

TEST_F(RetryTest, StopsWaitingWhenTold) {
  Retry retry("x", log_, 60s, 60s);
  std::stop_source stop;
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);
    stop.request_stop();
  });
  EXPECT_FALSE(retry.failed("no answer", stop.get_token()));
  other.join();
}

TEST_F(RetryTest, DoesNotWaitAtAllOnceItWasStopped) {
  Retry retry("x", log_, 60s, 60s);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(retry.failed("no answer", stop.get_token()));
}

}  // namespace
}  // namespace flowloom
