#include "program/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "program/peer.h"
#include "spec/error.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

using testing::HasSubstr;

template <class Work>
ErrorCode code_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::kInternal;
}

class RunDirectoryTest : public testing::Test {
 protected:
  TemporaryDirectory temporary_;
  RunDirectory directory_{temporary_.path() / "runs" / "phi4"};
};

TEST_F(RunDirectoryTest, TheRunFileIsReadAsItWasWritten) {
  directory_.create();
  for (const std::string toml : {"length = 8000\n", "length = 8000", "", "\n"}) {
    directory_.write_run_file(toml);
    const std::string once = directory_.read_run_file();
    EXPECT_THAT(once, testing::StartsWith(toml));
    directory_.write_run_file(read_file(directory_.run_file()));  // who copies the file copies the last line too
    EXPECT_EQ(directory_.read_run_file(), once);
  }
}

TEST_F(RunDirectoryTest, ADigitThatChangedInTheRunFileIsSeen) {
  directory_.create();
  directory_.write_run_file("length = 8000\n");
  const std::string text = read_file(directory_.run_file());
  write_file_atomically(directory_.run_file(), "length = 9" + text.substr(10));
  EXPECT_EQ(code_of([&] { directory_.read_run_file(); }), ErrorCode::kCorrupt);
}

TEST_F(RunDirectoryTest, ARunFileWhoseHashIsDamagedOrGoneIsRefused) {
  directory_.create();
  directory_.write_run_file("length = 8000\n");
  std::string text = read_file(directory_.run_file());
  text[text.find("sha256") + 3] = '4';
  for (const std::string& other : {text, std::string("length = 8000\n"), std::string()}) {
    write_file_atomically(directory_.run_file(), other);
    EXPECT_EQ(code_of([&] { directory_.read_run_file(); }), ErrorCode::kCorrupt) << other;
  }
}

TEST_F(RunDirectoryTest, IsMadeWithATokenThatOnlyItsOwnerCanRead) {
  directory_.create();
  struct stat info{};
  ASSERT_EQ(::stat(directory_.token_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(directory_.token(), testing::MatchesRegex("[0-9a-f]{64}"));
  EXPECT_TRUE(std::filesystem::is_directory(directory_.logs()));
  EXPECT_TRUE(std::filesystem::is_directory(directory_.training()));
  EXPECT_FALSE(directory_.exists());
}

TEST_F(RunDirectoryTest, KeepsItsToken) {
  directory_.create();
  const std::string token = directory_.token();
  directory_.create();
  EXPECT_EQ(directory_.token(), token);
}

TEST_F(RunDirectoryTest, HasAnotherTokenThanOthers) {
  directory_.create();
  const RunDirectory other(temporary_.path() / "other");
  other.create();
  EXPECT_NE(directory_.token(), other.token());
}

TEST_F(RunDirectoryTest, RefusesATokenThatOthersCanRead) {
  directory_.create();
  for (const mode_t mode : {0640u, 0604u, 0620u}) {
    ASSERT_EQ(::chmod(directory_.token_file().c_str(), mode), 0);
    EXPECT_EQ(code_of([&] { directory_.token(); }), ErrorCode::kPermissionDenied);
  }
}

TEST_F(RunDirectoryTest, HasNoTokenWhereNoneIs) {
  EXPECT_EQ(code_of([&] { directory_.token(); }), ErrorCode::kNotFound);
}

TEST_F(RunDirectoryTest, CannotBeMadeInAFile) {
  write_file_atomically(temporary_.path() / "runs", "a file");
  EXPECT_EQ(code_of([&] { directory_.create(); }), ErrorCode::kUnavailable);
}

TEST_F(RunDirectoryTest, TellsWhoOwnsItUntilHeLeaves) {
  directory_.create();
  EXPECT_FALSE(directory_.owner());
  directory_.write_owner({"127.0.0.1:4000", "host", 17, 3});
  const auto owner = directory_.owner();
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->address, "127.0.0.1:4000");
  EXPECT_EQ(owner->host, "host");
  EXPECT_EQ(owner->pid, 17);
  EXPECT_EQ(owner->epoch, 3u);
  directory_.remove_owner();
  EXPECT_FALSE(directory_.owner());
}

TEST_F(RunDirectoryTest, RefusesADamagedOwnerFile) {
  directory_.create();
  for (const char* text : {"", "{", "[]", "{}", R"({"address": 1, "host": "h", "pid": 1, "epoch": 1})"}) {
    write_file_atomically(directory_.owner_file(), text);
    EXPECT_EQ(code_of([&] { directory_.owner(); }), ErrorCode::kCorrupt) << text;
  }
}

TEST_F(RunDirectoryTest, NumbersModelsInSixDigits) {
  EXPECT_EQ(directory_.model(7).filename(), "000007.safetensors");
  EXPECT_EQ(directory_.model(4294967295u).filename(), "4294967295.safetensors");
}

TEST(RandomHex, IsNewEachTime) {
  EXPECT_THAT(random_hex(16), testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_NE(random_hex(16), random_hex(16));
}

// ---------------------------------------------------------------------------------------------------- peers

TEST_F(RunDirectoryTest, LeadsAPeerToItsCoordinator) {
  directory_.create();
  directory_.write_owner({"127.0.0.1:4000", "host", 17, 3});
  const Peer peer = PeerFinder({.directory = directory_.path(), .address = "", .token_file = ""}).find();
  EXPECT_EQ(peer.address, "127.0.0.1:4000");
  EXPECT_EQ(peer.token, directory_.token());
}

TEST_F(RunDirectoryTest, LeadsAPeerToTheNextCoordinatorToo) {
  directory_.create();
  directory_.write_owner({"127.0.0.1:4000", "host", 17, 3});
  PeerFinder finder({.directory = directory_.path(), .address = "", .token_file = ""});
  const auto first = finder.find().channel;
  EXPECT_EQ(finder.find().channel, first);
  directory_.write_owner({"127.0.0.1:4001", "host", 18, 4});
  EXPECT_EQ(finder.find().address, "127.0.0.1:4001");
  EXPECT_NE(finder.find().channel, first);
}

TEST_F(RunDirectoryTest, LetsAPeerWaitForACoordinator) {
  PeerFinder finder({.directory = directory_.path(), .address = "", .token_file = ""});
  EXPECT_EQ(code_of([&] { finder.find(); }), ErrorCode::kUnavailable);
  directory_.create();
  EXPECT_EQ(code_of([&] { finder.find(); }), ErrorCode::kUnavailable);
}

TEST(PeerFinder, WantsADirectoryOrAnAddressWithAToken) {
  for (const PeerOptions& options :
       {PeerOptions{}, PeerOptions{.directory = "", .address = "127.0.0.1:1", .token_file = ""},
        PeerOptions{.directory = "", .address = "", .token_file = "t"},
        PeerOptions{.directory = "d", .address = "127.0.0.1:1", .token_file = "t"}}) {
    EXPECT_EQ(code_of([&] { PeerFinder finder(options); }), ErrorCode::kInvalidInput);
  }
}

}  // namespace
}  // namespace flowloom
