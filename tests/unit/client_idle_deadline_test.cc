// The deadline of each message of a stream.
#include "client/idle_deadline.h"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

using std::chrono::milliseconds;

struct Expired {
  std::atomic<int> times = 0;
  IdleDeadline deadline{milliseconds(100), [this] { ++times; }};
  int after(milliseconds time) const {
    std::this_thread::sleep_for(time);
    return times;
  }
};

TEST(IdleDeadline, ExpiresOnceWhereNothingComes) {
  Expired expired;
  expired.deadline.begin();
  EXPECT_EQ(expired.after(milliseconds(2000)), 1);  // twenty times what it takes
}

TEST(IdleDeadline, DoesNotExpireWhileNobodyWaits) {
  Expired expired;
  EXPECT_EQ(expired.after(milliseconds(300)), 0);
  expired.deadline.begin();
  expired.deadline.end();
  EXPECT_EQ(expired.after(milliseconds(300)), 0);
}

TEST(IdleDeadline, CountsFromEachMessageAnew) {
  Expired expired;
  for (const auto end = std::chrono::steady_clock::now() + milliseconds(400); std::chrono::steady_clock::now() < end;) {
    expired.deadline.begin();
    expired.deadline.end();
  }
  EXPECT_EQ(expired.times, 0);
}

}  // namespace
}  // namespace flowloom
