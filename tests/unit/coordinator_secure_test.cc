// A coordinator with TLS: who may call what, which certificates are taken, and what a caller is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "certs_cases.h"
#include "coordinator_calls.h"
#include "coordinator_run.h"
#include "program/authorization.h"
#include "program/peer.h"

namespace flowloom {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

const RunText kRun{.length = 96, .window = 5, .switches = {0}};

// ------------------------------------------------------------------------------------------------------- the table

// Row by row what the protocol's files say, w, t, c and a for the roles that may call.
const std::map<std::string, std::string> kMay{
    {"flowloom.v1.Coordinator/Work", "wa"},  {"flowloom.v1.Models/Publish", "ta"},
    {"flowloom.v1.Models/Fetch", "wtca"},    {"flowloom.v1.Models/List", "wtca"},
    {"flowloom.v1.Models/Watch", "wtca"},    {"flowloom.v1.Models/Describe", "tca"},
    {"flowloom.v1.Models/Report", "ta"},     {"flowloom.v1.Models/Record", "ca"},
    {"flowloom.v1.Training/Share", "ta"},    {"flowloom.v1.Chain/Status", "ca"},
    {"flowloom.v1.Chain/WatchStatus", "ca"}, {"flowloom.v1.Chain/StreamStates", "ca"},
    {"flowloom.v1.Chain/Recheck", "a"},      {"flowloom.v1.Chain/Drain", "a"},
    {"flowloom.v1.Models/Activate", "a"},
};

// A first message that no method does anything for: it is for another run, or no beginning.
std::string harmless(const std::string& method) {
  flowloom::v1::Target target;
  target.set_run_id("another");
  if (method.ends_with("/Work")) return "";
  if (method.ends_with("/Publish")) {
    flowloom::v1::PublishRequest request;
    request.set_chunk("x");
    return request.SerializeAsString();
  }
  if (method.ends_with("/Share")) {
    flowloom::v1::ShareRequest request;
    *request.mutable_step()->mutable_run() = target;
    return request.SerializeAsString();
  }
  flowloom::v1::StatusRequest request;  // field 1 is the target in all others
  *request.mutable_run() = target;
  return request.SerializeAsString();
}

class SecureTest : public testing::Test {
 protected:
  grpc::Status call(const std::string& method, const std::string& token) const {
    return call_raw(served_.channel, method, "Bearer " + token, harmless(method)).status;
  }
  grpc::Status status_with(const std::string& token) const { return call("flowloom.v1.Chain/Status", token); }

  // Until a token is taken or refused as wished, or 10 seconds have gone.
  bool comes_to(StatusCode wish, const std::string& token) const {
    for (int i = 0; i < 200; ++i) {
      if (status_with(token).error_code() == wish) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  Certs certs_;
  Served served_{kRun, true, certs_.server()};
};

constexpr StatusCode kTaken = StatusCode::FAILED_PRECONDITION;  // a Status for another run
constexpr StatusCode kRefused = StatusCode::UNAUTHENTICATED;

TEST_F(SecureTest, EachRoleMayCallWhatTheTableSaysAndNothingElse) {
  const std::vector<std::string> methods = all_methods();
  ASSERT_EQ(methods.size(), kMay.size());
  for (const std::string& method : methods) {
    ASSERT_TRUE(kMay.contains(method)) << method << " is new: say here who may call it";
    for (const Role role : kRoles) {
      const grpc::Status status = call(method, Certs::token_of(role));
      const std::string cell = method + " by " + name_of(role) + ": " + status.error_message();
      if (kMay.at(method).find(name_of(role)[0]) == std::string::npos) {
        EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << cell;
        EXPECT_THAT(status.error_message(), HasSubstr(method));
        EXPECT_THAT(status.error_message(), HasSubstr(std::string("The token is ") + name_of(role) + "'s"));
      } else {
        const StatusCode past = method.ends_with("/Work") || method.ends_with("/Publish")
                                    ? StatusCode::INVALID_ARGUMENT
                                    : StatusCode::FAILED_PRECONDITION;
        EXPECT_EQ(status.error_code(), past) << cell;
      }
    }
  }
}

TEST_F(SecureTest, TheRunDirectorysTokenMayCallEverything) {
  for (const std::string& method : all_methods()) {
    const StatusCode code = call(method, served_.token).error_code();
    EXPECT_NE(code, StatusCode::PERMISSION_DENIED) << method;
    EXPECT_NE(code, StatusCode::UNAUTHENTICATED) << method;
  }
}

TEST_F(SecureTest, NoOtherTokenMayCallAnything) {
  const std::string good = Certs::token_of(Role::kAdmin);
  for (const std::string& method : all_methods()) {
    for (const std::string& token : {std::string(), good.substr(1), good + "x", "X" + good.substr(1)}) {
      EXPECT_EQ(call(method, token).error_code(), kRefused) << method << " with '" << token << "'";
    }
    EXPECT_EQ(call_raw(served_.channel, method, "").status.error_code(), kRefused) << method;
  }
}

TEST_F(SecureTest, HealthAndReflectionAreOpen) {
  EXPECT_TRUE(call_raw(served_.channel, "grpc.health.v1.Health/Check", "").status.ok());
  EXPECT_THAT(
      call_raw(served_.channel, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "", "\x3a\x01*").reply,
      HasSubstr("flowloom.v1.Chain"));
}

TEST_F(SecureTest, ARoleMayBeMissing) {
  std::filesystem::remove(certs_.folder.token(Role::kAdmin));
  const Served served(kRun, true, certs_.server());
  const auto drain = [&](const std::string& token) {
    return call_raw(served.channel, "flowloom.v1.Chain/Drain", "Bearer " + token, harmless("")).status.error_code();
  };
  EXPECT_EQ(drain(Certs::token_of(Role::kAdmin)), kRefused);
  EXPECT_EQ(drain(Certs::token_of(Role::kClient)), StatusCode::PERMISSION_DENIED);
}

// ----------------------------------------------------------------------------------------------- tokens that change

TEST_F(SecureTest, ANewTokenCountsWithoutARestart) {
  const std::string before = Certs::token_of(Role::kClient), after = Certs::token_of(Role::kClient, "new");
  ASSERT_EQ(status_with(before).error_code(), kTaken);
  certs_.set_token(Role::kClient, after);
  EXPECT_TRUE(comes_to(kTaken, after));
  EXPECT_EQ(status_with(before).error_code(), kRefused);
}

TEST_F(SecureTest, BothTokensOfAFileCountSoThatOneFollowsTheOtherWithoutAGap) {
  const std::string before = Certs::token_of(Role::kClient), after = Certs::token_of(Role::kClient, "new");
  certs_.set_token(Role::kClient, after + "\n" + before);
  EXPECT_TRUE(comes_to(kTaken, after));
  EXPECT_EQ(status_with(before).error_code(), kTaken);
  EXPECT_EQ(read_tokens(certs_.folder.token(Role::kClient)).front(), after);
}

TEST_F(SecureTest, ARemovedTokenIsRevoked) {
  std::filesystem::remove(certs_.folder.token(Role::kClient));
  EXPECT_TRUE(comes_to(kRefused, Certs::token_of(Role::kClient)));
  EXPECT_EQ(status_with(Certs::token_of(Role::kAdmin)).error_code(), kTaken);
}

// The log while it lives.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
    spdlog::set_level(spdlog::level::trace);
  }
  ~CapturedLog() {
    spdlog::set_default_logger(before_);
    spdlog::set_level(spdlog::level::off);
  }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_F(SecureTest, AFileThatCannotBeTrustedIsRefusedOnceInTheLogAndTheOldTokenStays) {
  const std::string before = Certs::token_of(Role::kClient), after = Certs::token_of(Role::kClient, "new");
  struct Case {
    std::string text;
    int mode;
    const char* sentence;
  };
  for (const Case& bad : {Case{after, 0644, "chmod 600"}, Case{"", 0600, "has no token"},
                          Case{"short", 0600, "less than 32 characters"}}) {
    certs_.set_token(Role::kClient, bad.text, bad.mode);
    // write_file_atomically is bound by the umask.
    std::filesystem::permissions(certs_.folder.token(Role::kClient), static_cast<std::filesystem::perms>(bad.mode));
    std::string text;
    {
      const CapturedLog log;
      for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(status_with(before).error_code(), kTaken);
        EXPECT_EQ(status_with(after).error_code(), kRefused);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      text = log.text();
    }
    EXPECT_EQ(count(text, bad.sentence), 1u) << text;
    EXPECT_THAT(text, testing::Not(HasSubstr(after)));
  }
  certs_.set_token(Role::kClient, after);
  EXPECT_TRUE(comes_to(kTaken, after));
}

TEST_F(SecureTest, ACoordinatorDoesNotStartWithAFileThatCannotBeTrusted) {
  certs_.set_token(Role::kWorker, Certs::token_of(Role::kWorker));
  std::filesystem::permissions(certs_.folder.token(Role::kWorker), std::filesystem::perms(0640));
  EXPECT_EQ(error_of_opening([&] { Authorizer("run", certs_.folder.path()); }).code(), ErrorCode::kPermissionDenied);
}

// ------------------------------------------------------------------------------------------------- what callers see

// What a program is told that calls `address` by `options`; empty if the call went through.
class CallerTest : public SecureTest {
 protected:
  static std::optional<Error> told(const std::string& address, const std::optional<ClientTls>& tls,
                                   const std::string& token = Certs::token_of(Role::kClient)) {
    const Peer peer{address, token, open_channel(address, true, tls), tls};
    grpc::ClientContext context;
    prepare(context, peer.token, limits::kUnaryDeadline);
    flowloom::v1::StatusReply reply;
    const grpc::Status status = flowloom::v1::Chain::NewStub(peer.channel)->Status(&context, {}, &reply);
    if (status.ok()) return {};
    return to_error(status, peer);
  }
  static void expect(const std::optional<Error>& error, ErrorCode code, const std::string& part) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), code) << error->what();
    EXPECT_THAT(error->what(), HasSubstr(part));
    EXPECT_THAT(error->what(), HasSubstr("The coordinator at "));
  }

  const std::string& address() const { return served_.services->address(); }
  ClientTls good() const { return certs_.folder.client_side(); }
};

TEST_F(CallerTest, IsServedByWhatTheFolderOrTheRunDirectorySays) {
  EXPECT_FALSE(told(address(), good()));
  EXPECT_FALSE(told(address(), served_.trusting(), served_.token));
}

TEST_F(CallerTest, WithAnotherAuthorityIsTold) {
  const Certs other;
  expect(told(address(), other.folder.client_side()), ErrorCode::kUnauthenticated, "did not sign");
}

TEST_F(CallerTest, WithoutTlsIsTold) { expect(told(address(), {}), ErrorCode::kInvalidInput, "speaks TLS"); }

TEST_F(CallerTest, WithTlsWhereNoneIsSpokenIsTold) {
  const Served plain(kRun);
  expect(told(plain.services->address(), good()), ErrorCode::kInvalidInput, "does not speak TLS");
}

TEST_F(CallerTest, OfAnotherNameIsToldTheNamesThatAreGood) {
  certs_.add_server("flowloom.example.org", certificate_validity());
  const Served served(kRun, true, certs_.server("flowloom.example.org"));
  expect(told(served.services->address(), good()), ErrorCode::kUnauthenticated,
         "for flowloom.example.org, not for 127.0.0.1");
}

TEST_F(CallerTest, IsToldThatACertificateExpired) {
  const KeyPair old = make_server_certificate(certs_.authority, {"127.0.0.1"}, Certs::past());
  const Served served(kRun, true, ServerTls{certs_.authority.certificate, old.certificate, old.key, {}, false});
  expect(told(served.services->address(), good()), ErrorCode::kUnauthenticated, "expired on ");
}

TEST_F(CallerTest, IsNotToldOfTlsWhereNobodyListens) {
  std::string address;
  {
    const Served gone(kRun);
    address = gone.services->address();
  }
  expect(told(address, good()), ErrorCode::kUnavailable, "does not answer");
  expect(told(address, {}), ErrorCode::kUnavailable, "does not answer");
}

class ClientCertificateTest : public CallerTest {
 protected:
  ServerTls requiring() const {
    ServerTls tls = certs_.server();
    tls.require_client_certificate = true;
    return tls;
  }
  Served strict_{kRun, true, requiring()};
};

TEST_F(ClientCertificateTest, IsTakenFromTheSameAuthority) {
  certs_.add_client();
  EXPECT_FALSE(told(strict_.services->address(), good()));
}

TEST_F(ClientCertificateTest, IsMissedInASentence) {
  expect(told(strict_.services->address(), good()), ErrorCode::kUnauthenticated, "wants a client certificate");
}

TEST_F(ClientCertificateTest, OfAnotherAuthorityOrExpiredIsRefusedInASentence) {
  const Certs other;
  for (const KeyPair& pair : {make_client_certificate(other.authority, "test", certificate_validity()),
                              make_client_certificate(certs_.authority, "test", Certs::past()),
                              make_server_certificate(certs_.authority, {"127.0.0.1"}, certificate_validity())}) {
    expect(told(strict_.services->address(), ClientTls{certs_.authority.certificate, pair.certificate, pair.key}),
           ErrorCode::kUnauthenticated, "refuses the certificate that this program shows");
  }
}

}  // namespace
}  // namespace flowloom
