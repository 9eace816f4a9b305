// Which workers the core welcomes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_core_cases.h"
#include "program/limits.h"

namespace flowloom {
namespace {

using flowloom::v1::Refusal;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CoreHelloTest : public CoreTest {
 protected:
  void SetUp() override {
    open({});
    publish("a", {0});
  }
  // The code of the refusal of a Hello, which must leave a good worker welcome.
  Refusal refusal_of(const flowloom::v1::Hello& message) {
    const WorkerId id = join(message);
    say(id, ready(1));  // ignored
    EXPECT_FALSE(log_->models[0].verified);
    EXPECT_THAT(welcomes_, IsEmpty());
    EXPECT_THAT(refusals_, SizeIs(1));
    return refusals_.empty() ? Refusal() : refusals_[0];
  }
};

TEST_F(CoreHelloTest, WelcomesAWorkerWithTheRunFile) {
  join();
  ASSERT_THAT(welcomes_, SizeIs(1));
  EXPECT_EQ(welcomes_[0].run_file(), run_.toml);
  EXPECT_EQ(welcomes_[0].run_id(), "0123456789abcdef0123456789abcdef");
  const Sha256 identity = run_.identity();
  EXPECT_EQ(welcomes_[0].identity(), std::string(identity.begin(), identity.end()));
  EXPECT_EQ(welcomes_[0].epoch(), 1u);
}

TEST_F(CoreHelloTest, RefusesAnotherProtocol) {
  auto message = hello();
  message.set_protocol("flowloom.v2");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesMoreCreditsThanThereMayBe) {
  EXPECT_EQ(refusal_of(hello(limits::kCredits + 1)).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesANameThatIsTooLong) {
  auto message = hello();
  message.set_name(std::string(limits::kNameBytes + 1, 'x'));
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesADeviceNameThatIsTooLong) {
  auto message = hello();
  message.set_device(std::string(limits::kNameBytes + 1, 'x'));
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_PROTOCOL);
}

TEST_F(CoreHelloTest, RefusesAHelloThatIsTooLargeWithoutRepeatingIt) {
  auto message = hello();
  message.set_protocol(std::string(limits::kHelloBytes, 'x'));
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_PROTOCOL);
  EXPECT_LT(refusal.sentence().size(), 200u);
}

TEST_F(CoreHelloTest, RefusesAWorkerOfAnotherRun) {
  auto message = hello();
  message.mutable_run()->set_run_id("ffffffffffffffffffffffffffffffff");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_WRONG_RUN);
}

TEST_F(CoreHelloTest, RefusesAWorkerThatExpectsAnotherIdentity) {
  auto message = hello();
  message.set_identity(std::string(32, '\1'));
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_WRONG_RUN);
  EXPECT_THAT(refusal.sentence(), HasSubstr(to_hex(run_.identity())));
}

TEST_F(CoreHelloTest, RefusesAnotherEngine) {
  auto message = hello();
  message.mutable_engines(0)->set_engine("torch");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherPrecision) {
  auto message = hello();
  message.mutable_engines(0)->set_precision("mixed");
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherRevision) {
  auto message = hello();
  message.mutable_engines(0)->set_revision(kNumericsRevision + 1);
  EXPECT_EQ(refusal_of(message).code(), Refusal::CODE_NUMERICS);
}

TEST_F(CoreHelloTest, RefusesAnotherBuildThanTheFirstWorkersEvenAfterARestart) {
  join();
  EXPECT_EQ(log_->pinned, "test build");
  restart();
  welcomes_.clear();
  auto message = hello();
  message.mutable_engines(0)->set_build("another");
  const Refusal refusal = refusal_of(message);
  EXPECT_EQ(refusal.code(), Refusal::CODE_NUMERICS);
  EXPECT_THAT(refusal.sentence(), HasSubstr("test build"));
}

TEST_F(CoreHelloTest, PinsTheBuildOfTheEngineThatTheRunNames) {
  auto message = hello();
  for (const int revision : {kNumericsRevision - 1, kNumericsRevision + 1}) {
    auto* other = message.add_engines();
    *other = message.engines(0);
    other->set_revision(revision);
    other->set_build("another");
  }
  message.mutable_engines()->SwapElements(0, 1);
  join(message);
  EXPECT_EQ(log_->pinned, "test build");
}

TEST_F(CoreHelloTest, GrantsNothingBeforeTheBuildIsWrittenDown) {
  log_->fails = [](const Write&) { return true; };
  const WorkerId worker = join();
  say(worker, ready(1));
  EXPECT_THAT(welcomes_, SizeIs(1));
  EXPECT_THAT(grants_, IsEmpty());
  auto message = hello();
  message.mutable_engines(0)->set_build("another");
  join(message);
  EXPECT_THAT(refusals_, SizeIs(1)) << "the first worker's build is decided already";
  log_->fails = {};
  tick();
  EXPECT_EQ(log_->pinned, "test build");
  EXPECT_THAT(grants_, SizeIs(2));
}

}  // namespace
}  // namespace flowloom
