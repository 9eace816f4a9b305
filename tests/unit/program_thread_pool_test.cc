#include "program/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>

namespace flowloom {
namespace {

TEST(ThreadPool, DoesEachPieceOnceOnAnyNumberOfThreads) {
  for (const std::size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const std::size_t count : {0, 1, 3, 100}) {
      std::vector<std::atomic<int>> done(count);
      EXPECT_TRUE(pool.for_each(count, [&](std::size_t i) { ++done[i]; }));
      for (const auto& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(ThreadPool, ThrowsThePiecesExceptionAndBeginsNoMore) {
  ThreadPool pool(3);
  std::atomic<int> begun = 0;
  const auto work = [&](std::size_t i) {
    ++begun;
    if (i == 5) throw std::runtime_error("piece 5");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  EXPECT_THROW(pool.for_each(10000, work), std::runtime_error);
  EXPECT_LT(begun, 10000);
  EXPECT_TRUE(pool.for_each(10, [](std::size_t) {})) << "and works on";
}

TEST(ThreadPool, AStopLetsPiecesInHandEndAndSaysThatNotAllWereDone) {
  for (const std::size_t threads : {1, 3}) {
    ThreadPool pool(threads);
    std::stop_source stop;
    std::atomic<int> begun = 0, ended = 0;
    EXPECT_FALSE(pool.for_each(
        10000,
        [&](std::size_t i) {
          ++begun;
          if (i == 7) stop.request_stop();
          ++ended;
        },
        stop.get_token()));
    EXPECT_EQ(begun, ended);
    EXPECT_LT(begun, 10000);
  }
}

}  // namespace
}  // namespace flowloom
