#include "program/address.h"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

TEST(Loopback, IsWhatCannotLeaveThisMachine) {
  for (const char* address : {"127.0.0.1:1", "127.255.1.2:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(is_loopback(address)) << address;
  }
  for (const char* address : {"10.0.0.1:1", "0.0.0.0:1", "[::]:1", "128.0.0.1:1", "127.example.org:1",
                              "127.0.0.1.example.org:1", "localhost.example.org:1", "example.org:127", "", ":1"}) {
    EXPECT_FALSE(is_loopback(address)) << address;
  }
}

TEST(SplitAddress, IsAHostAndAPortAsAResolverTakesThem) {
  const auto split = [](const std::string& address) {
    const Address parts = split_address(address);
    return std::pair(parts.host, parts.port);
  };
  EXPECT_EQ(split("example.org:4000"), std::pair(std::string("example.org"), std::string("4000")));
  EXPECT_EQ(split("[::1]:4000"), std::pair(std::string("::1"), std::string("4000")));
  EXPECT_EQ(split("example.org"), std::pair(std::string("example.org"), std::string()));
  EXPECT_EQ(split(""), std::pair(std::string(), std::string()));
}

}  // namespace
}  // namespace flowloom
