#include "spec/sha256.h"

#include <gtest/gtest.h>

#include "spec/error.h"

namespace flowloom {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, HexadecimalIsReadBack) {
  const Sha256 digest = sha256("abc");
  EXPECT_EQ(sha256_from_hex(to_hex(digest), "digest"), digest);
}

TEST(Sha256, AnythingButSixtyFourDigitsIsRefused) {
  for (const std::string& bad :
       {std::string(63, 'a'), std::string(65, 'a'), std::string(63, 'a') + "g", std::string()}) {
    try {
      sha256_from_hex(bad, "version");
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
      EXPECT_EQ(std::string(error.what()), "version must be a SHA-256 of 64 hexadecimal digits, not '" + bad + "'.");
    }
  }
}

}  // namespace
}  // namespace flowloom
