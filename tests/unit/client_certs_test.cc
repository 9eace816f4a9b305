// flowloom certs: what is made, with which modes, and what is left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "client_cases.h"
#include "program/certificates.h"
#include "program/program.h"
#include "program/tls_folder.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

using testing::HasSubstr;

class CertsTest : public testing::Test {
 protected:
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(where_)) {
      found[entry.path().filename().string()] = read_file(entry.path());
    }
    return found;
  }
  std::string path() const { return where_.string(); }

  TemporaryDirectory temporary_;
  std::filesystem::path where_ = temporary_.path() / "certs";
};

TEST_F(CertsTest, AreMadeWithPrivateKeysAndTokens) {
  const Outcome made = flowloom_command({"certs", path(), "--host", "10.0.0.5", "--host", "node07"});
  EXPECT_EQ(made.code, 0);
  std::set<std::string> names;
  for (const auto& [name, bytes] : files()) {
    names.insert(name);
    struct stat info{};
    ASSERT_EQ(::stat((where_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, name.ends_with(".crt") ? 0044u & info.st_mode : 0u) << name;
    EXPECT_THAT(made.out, HasSubstr(name));
  }
  EXPECT_THAT(names,
              testing::ElementsAre("admin.token", "ca.crt", "ca.key", "client.crt", "client.key", "client.token",
                                   "server-10.0.0.5.crt", "server-10.0.0.5.key", "trainer.token", "worker.token"));
  const TlsFolder folder(where_);
  for (const char* host : {"10.0.0.5", "node07", "localhost", "127.0.0.1", "::1"}) {
    EXPECT_NO_THROW(folder.server_side(host)) << host;
  }
  EXPECT_FALSE(folder.client_side().certificate.empty());
  for (const Role role : kRoles) {
    EXPECT_THAT(read_file(folder.token(role)), testing::MatchesRegex("[0-9a-f]{64}\n"));
    EXPECT_THAT(made.out, testing::Not(HasSubstr(read_file(folder.token(role)).substr(0, 64))));
  }
}

TEST_F(CertsTest, AreForThisMachineIfNoHostIsNamed) {
  flowloom_command({"certs", path()});
  EXPECT_NO_THROW(TlsFolder(where_).server_side(host_name()));
}

TEST_F(CertsTest, OfOneMoreHostComeFromTheSameAuthority) {
  flowloom_command({"certs", path(), "--host", "a.example.org"});
  const auto before = files();
  flowloom_command({"certs", path(), "--host", "b.example.org"});
  auto after = files();
  EXPECT_NO_THROW(TlsFolder(where_).server_side("b.example.org"));
  EXPECT_EQ(after.erase("server-b.example.org.crt") + after.erase("server-b.example.org.key"), 2u);
  EXPECT_EQ(after, before);
}

TEST_F(CertsTest, AreNeverOverwritten) {
  flowloom_command({"certs", path(), "--host", "a.example.org"});
  const auto before = files();
  ErrorCode code{};
  EXPECT_THAT(refusal({"certs", path(), "--host", "a.example.org", "--host", "b.example.org"}, &code),
              HasSubstr("is there already, and not for b.example.org"));
  EXPECT_EQ(code, ErrorCode::kConflict);
  for (const Outcome& again :
       {flowloom_command({"certs", path(), "--host", "a.example.org"}), flowloom_command({"certs", path()})}) {
    EXPECT_EQ(again.code, 0);
    EXPECT_THAT(again.out, HasSubstr("everything already"));
  }
  EXPECT_EQ(files(), before);
}

TEST_F(CertsTest, AreMadeAnewWhereTheyWereRemoved) {
  flowloom_command({"certs", path()});
  const auto before = files();
  std::filesystem::remove(where_ / "worker.token");
  flowloom_command({"certs", path()});
  auto after = files();
  EXPECT_NE(after.at("worker.token"), before.at("worker.token"));
  after["worker.token"] = before.at("worker.token");
  EXPECT_EQ(after, before);
}

TEST_F(CertsTest, AreNotMadeInACopyWithoutTheAuthoritysKey) {
  flowloom_command({"certs", path()});
  std::filesystem::remove(where_ / "ca.key");
  ErrorCode code{};
  EXPECT_THAT(refusal({"certs", path(), "--host", "b"}, &code), HasSubstr("without ca.key"));
  EXPECT_EQ(code, ErrorCode::kNotFound);
}

TEST_F(CertsTest, AreNotMadeForWhatIsNoHost) {
  EXPECT_THAT(refusal({"certs", path(), "--host", "10.0.0.5:4000"}), HasSubstr("without a port"));
  EXPECT_FALSE(std::filesystem::exists(where_));
}

}  // namespace
}  // namespace flowloom
