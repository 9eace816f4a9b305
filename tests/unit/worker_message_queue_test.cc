#include "worker/message_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace flowloom {
namespace {

TEST(MessageQueue, KeepsTheOrder) {
  MessageQueue<int> queue(10);
  for (int i = 0; i < 5; ++i) queue.push(i);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.pop(), i);
}

TEST(MessageQueue, AFullOneMakesThePusherWait) {
  MessageQueue<int> queue(2);
  std::atomic<int> pushed = 0;
  std::jthread pusher([&] {
    for (int i = 0; i < 5; ++i) {
      queue.push(i);
      ++pushed;
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(pushed, 2);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.pop(), i);
}

TEST(MessageQueue, AClosedOneGivesWhatItHasAndThenNothing) {
  MessageQueue<int> queue(10);
  queue.push(1);
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(MessageQueue, AnAbandonedOneGivesNothingAndWakesEverybody) {
  MessageQueue<int> empty(1), full(1);
  full.push(1);
  std::jthread popper([&] { EXPECT_EQ(empty.pop(), std::nullopt); });
  std::jthread pusher([&] { full.push(2); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  empty.abandon();
  full.abandon();
  EXPECT_EQ(full.pop(), std::nullopt);
}

}  // namespace
}  // namespace flowloom
