#include "coordinator/step_sharing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "coordinator_core_cases.h"
#include "coordinator_run.h"
#include "flowloom/v1/training.grpc.pb.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Refusal;
using flowloom::v1::StatusReply;
using flowloom::v1::WorkerMessage;
using testing::HasSubstr;
using testing::SizeIs;

// A step of a run with zero weights, as its training server would offer it.
flowloom::v1::GradientStep step_of(const RunSpec& run, std::uint32_t units) {
  const Sha256 training = training_identity(run);
  flowloom::v1::GradientStep step;
  step.set_weights(pack(std::vector<double>(architecture_of(run)->parameter_count())));
  step.set_units(units);
  step.set_unit_size(1);
  step.set_training(training.data(), training.size());
  step.set_revision(kGradientRevision);
  return step;
}

// ---------------------------------------------------------------------------------------------- in the core

class SharingTest : public CoreTest {
 protected:
  static constexpr std::size_t kUnitSize = 4;

  void SetUp() override {
    open({});
    count_ = architecture_of(run_)->parameter_count();
  }

  WorkerId join_helper(std::uint32_t credits = 2) {
    auto message = hello(credits);
    message.add_capabilities(gradient_capability());
    return join(message);
  }
  void share(std::int64_t number, std::uint32_t units, std::uint32_t taken = 0) {
    flowloom::v1::GradientStep step = step_of(run_, units);
    step.set_step(number);
    step.set_unit_size(kUnitSize);
    step.set_taken(taken);
    core_->share(step);
    sort_outgoing();
  }
  void take(std::int64_t step, std::uint32_t units) {
    flowloom::v1::Taken taken;
    taken.set_step(step);
    taken.set_units(units);
    core_->taken(taken);
  }
  // In these tests the n-th shared step has the number n + 6.
  WorkerMessage slopes(std::int64_t step, std::uint32_t unit, std::size_t more = 0) const {
    WorkerMessage message;
    auto* answer = message.mutable_gradient();
    answer->set_step(step);
    answer->set_offer(static_cast<std::uint64_t>(step - 6));
    answer->set_unit(unit);
    answer->set_slopes(pack(std::vector<double>(count_ + more, unit)));
    answer->set_log_w(pack(std::vector<double>(kUnitSize)));
    return message;
  }
  static WorkerMessage failed(std::int64_t step, std::uint32_t unit) {
    WorkerMessage message;
    message.mutable_failure()->mutable_gradient()->set_offer(static_cast<std::uint64_t>(step - 6));
    message.mutable_failure()->mutable_gradient()->set_unit(unit);
    message.mutable_failure()->set_sentence("it broke");
    return message;
  }
  std::size_t count_ = 0;  // weights of the run

  using Granted = std::vector<std::pair<WorkerId, std::uint32_t>>;
  Granted granted() { return std::exchange(gradients_, {}); }
  std::vector<std::uint32_t> arrived() {
    std::vector<std::uint32_t> units;
    for (const auto& gradient : core_->take_gradients()) units.push_back(gradient.unit());
    return units;
  }
};

TEST_F(SharingTest, UnitsAreGrantedFromTheLastOnInTurn) {
  const WorkerId one = join_helper(), two = join_helper(1);
  EXPECT_EQ(core_->helpers(), 2u);
  share(7, 6);
  EXPECT_EQ(granted(), (Granted{{one, 5}, {two, 4}, {one, 3}}));
  say(two, slopes(7, 4));
  EXPECT_EQ(arrived(), std::vector<std::uint32_t>{4});
  EXPECT_EQ(granted(), (Granted{{two, 2}}));
  EXPECT_EQ(status().workers(1).gradient_units(), 1u);
}

TEST_F(SharingTest, WhatTheTrainerHasBegunIsNotGranted) {
  const WorkerId one = join_helper(1);
  share(7, 3);
  take(7, 2);
  EXPECT_EQ(granted(), (Granted{{one, 2}}));
  say(one, slopes(7, 2));
  EXPECT_TRUE(granted().empty());
  share(8, 3);
  take(7, 3);  // late
  EXPECT_EQ(granted(), (Granted{{one, 2}}));
  say(one, slopes(8, 2));
  EXPECT_EQ(granted(), (Granted{{one, 1}}));
  share(9, 3, 2);  // two are begun with the step itself
  say(one, slopes(8, 1));
  EXPECT_EQ(granted(), (Granted{{one, 2}}));
  say(one, slopes(9, 2));
  EXPECT_TRUE(granted().empty());
}

TEST_F(SharingTest, AWorkerAtAnOldStepIsToldOfTheNewOne) {
  const WorkerId one = join_helper(1), two = join_helper(1);
  share(7, 4);
  say(two, slopes(7, 2));
  say(two, slopes(7, 1));
  EXPECT_EQ(granted(), (Granted{{one, 3}, {two, 2}, {two, 1}, {two, 0}}));
  say(two, slopes(7, 0));
  share(8, 4);
  EXPECT_EQ(done_, (std::vector<std::pair<WorkerId, std::uint64_t>>{{one, 2}}));
}

TEST_F(SharingTest, AnAnswerCountsOnceAndOnlyForItsStep) {
  const WorkerId one = join_helper(1);
  share(7, 2);
  say(one, slopes(7, 1));
  say(one, slopes(7, 1));
  EXPECT_EQ(arrived(), std::vector<std::uint32_t>{1});
  share(8, 2);
  say(one, slopes(7, 0));
  EXPECT_TRUE(arrived().empty());
  core_->stop_sharing();
  say(one, slopes(8, 1));
  EXPECT_TRUE(arrived().empty());
  EXPECT_TRUE(refusals_.empty());
}

// A trainer that was restarted elsewhere may come to the same step with other weights.
TEST_F(SharingTest, AnAnswerUnderEarlierWeightsOfTheSameStepIsDropped) {
  const WorkerId one = join_helper(1);
  share(7, 2);
  weights_.clear();
  share(7, 2);
  say(one, slopes(7, 1));
  EXPECT_TRUE(arrived().empty());
  EXPECT_EQ(weights_.size(), 1u) << "the weights are sent again";
}

// A worker that is slower than the steps gets no more than its credits.
TEST_F(SharingTest, OpenGrantsCountOverSteps) {
  const WorkerId one = join_helper(2);
  for (std::int64_t step = 7; step < 20; ++step) share(step, 8);
  EXPECT_EQ(granted(), (Granted{{one, 7}, {one, 6}}));
  say(one, slopes(7, 7));
  EXPECT_TRUE(arrived().empty());
  EXPECT_EQ(granted(), (Granted{{one, 7}})) << "of the newest step";
  say(one, failed(7, 6));
  EXPECT_EQ(granted(), (Granted{{one, 6}}));
  say(one, slopes(19, 7));
  EXPECT_EQ(arrived(), std::vector<std::uint32_t>{7});
}

TEST_F(SharingTest, OnlyAWorkerThatHasTheWeightsIsHeard) {
  const WorkerId one = join_helper(1), two = join_helper(0);
  share(7, 2);
  EXPECT_EQ(granted(), (Granted{{one, 1}}));
  say(two, slopes(7, 1));
  EXPECT_TRUE(arrived().empty());
  EXPECT_THAT(refusals_, SizeIs(1));
}

TEST_F(SharingTest, ALostWorkersUnitAndAnExpiredLeaseGoToOthers) {
  const WorkerId one = join_helper(1), two = join_helper(1);
  share(7, 3);
  EXPECT_EQ(granted(), (Granted{{one, 2}, {two, 1}}));
  leave(one);
  say(two, slopes(7, 1));
  EXPECT_EQ(granted(), (Granted{{two, 2}}));
  const WorkerId three = join_helper(2);
  EXPECT_EQ(granted(), (Granted{{three, 0}}));
  tick(run_.chain.lease_seconds + 1);
  EXPECT_EQ(granted(), (Granted{{three, 2}})) << "the lease of the second has expired";
  say(two, slopes(7, 2));
  say(three, slopes(7, 2));
  EXPECT_EQ(arrived(), (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(SharingTest, SamplingComesFirstAndTheRestOfTheCreditsHelps) {
  publish("a", {0});
  const WorkerId one = join_helper(3);
  share(7, 8);
  EXPECT_EQ(granted(), (Granted{{one, 7}, {one, 6}, {one, 5}})) << "it cannot sample yet";
  say(one, ready(1));
  EXPECT_TRUE(take_grants().empty());
  say(one, slopes(7, 7));
  EXPECT_EQ(take_grants().size(), 1u);
  EXPECT_TRUE(granted().empty());
}

TEST_F(SharingTest, AChainThatHaltedDoesNotKeepWorkersFromHelping) {
  publish("a", {0});
  const WorkerId one = join_helper(1);
  say(one, ready(1));
  take_grants();
  core_->halt("a decision is needed");
  say(one, answer(0));
  EXPECT_TRUE(take_grants().empty());
  share(7, 2);
  EXPECT_EQ(core_->helpers(), 1u);
  EXPECT_EQ(granted(), (Granted{{one, 1}}));
}

TEST_F(SharingTest, AWorkerThatKeepsFailingIsNotAskedAgain) {
  const WorkerId one = join_helper(1);
  share(7, 8);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(granted().size(), 1u);
    say(one, failed(7, 7));
  }
  EXPECT_TRUE(granted().empty());
  EXPECT_EQ(core_->helpers(), 0u);
  EXPECT_EQ(status().workers(0).trouble(), "it broke");
  EXPECT_NE(status().state(), StatusReply::STATE_HALTED);
}

TEST_F(SharingTest, RefusesAnswersThatNobodyAskedForOrOfAnotherSize) {
  const WorkerId one = join_helper(1);
  share(7, 8);
  say(one, slopes(7, 3));
  say(one, slopes(7, 8));
  ASSERT_THAT(refusals_, SizeIs(2));
  EXPECT_EQ(refusals_[0].code(), Refusal::CODE_NEVER_LEASED);
  EXPECT_EQ(refusals_[1].code(), Refusal::CODE_NEVER_LEASED);
  say(one, slopes(7, 7, 1));
  ASSERT_THAT(refusals_, SizeIs(3));
  EXPECT_EQ(refusals_[2].code(), Refusal::CODE_WRONG_COUNT);
  EXPECT_TRUE(arrived().empty());
  EXPECT_EQ(core_->helpers(), 0u);
}

TEST_F(SharingTest, NothingIsGrantedWhileDrainingOrToAWorkerThatCannot) {
  const WorkerId old = join();
  share(7, 2);
  EXPECT_TRUE(granted().empty());
  EXPECT_EQ(core_->helpers(), 0u);
  leave(old);
  core_->drain();
  join_helper();
  EXPECT_TRUE(granted().empty());
  EXPECT_EQ(core_->helpers(), 0u);
}

TEST_F(SharingTest, RefusesAStepThatMakesNoSense) {
  const auto refusal = [&](auto change) {
    flowloom::v1::GradientStep step = step_of(run_, 3);
    change(step);
    return error_of_opening([&] { core_->share(step); }).code();
  };
  EXPECT_EQ(refusal([](auto& step) { step.set_units(0); }), ErrorCode::kInvalidInput);
  EXPECT_EQ(refusal([](auto& step) { step.set_unit_size(0); }), ErrorCode::kInvalidInput);
  EXPECT_EQ(refusal([](auto& step) { step.set_weights("1234567"); }), ErrorCode::kInvalidInput);
}

// Their gradients would be others'.
TEST_F(SharingTest, RefusesAStepOfOtherSettingsOrAnotherRevision) {
  const auto refusal = [&](auto change) {
    flowloom::v1::GradientStep step = step_of(run_, 3);
    change(step);
    return error_of_opening([&] { core_->share(step); }).code();
  };
  EXPECT_EQ(refusal([](auto& step) { step.set_revision(step.revision() + 1); }), ErrorCode::kConflict);
  RunSpec other = run_;
  other.policy["train"]["gradient"] = "path";
  EXPECT_EQ(refusal([&](auto& step) { step = step_of(other, 3); }), ErrorCode::kConflict);
  EXPECT_NO_THROW(core_->share(step_of(run_, 3)));
}

// ------------------------------------------------------------------------------------------- what is under way

flowloom::v1::GradientStep bare_step(std::size_t weights, std::uint32_t units) {
  flowloom::v1::GradientStep step;
  step.set_weights(pack(std::vector<double>(weights)));
  step.set_units(units);
  step.set_unit_size(1);
  step.set_training(std::string(32, '\0'));
  step.set_revision(kGradientRevision);
  return step;
}

flowloom::v1::GradientAnswer answer_of(std::size_t weights, std::uint64_t offer, std::uint32_t unit) {
  flowloom::v1::GradientAnswer answer;
  answer.set_offer(offer);
  answer.set_unit(unit);
  answer.set_slopes(pack(std::vector<double>(weights)));
  answer.set_log_w(pack(std::vector<double>(1)));
  return answer;
}

// Grants all that a worker with any number of credits may have; how many.
std::size_t grant_all(StepSharing& sharing, WorkerId worker) {
  std::size_t count = 0;
  const std::vector<WorkerId> connected = {worker};
  while (const auto number = sharing.ledger()->grant(
             worker, sharing.end(), connected, [](WorkerId, UnitNumber) { return true; }, Time(0))) {
    sharing.granted(worker, *number);
    ++count;
  }
  return count;
}

TEST(StepSharing, WhatIsUnderWayHasABoundInBytes) {
  constexpr std::size_t kWeights = 10;
  StepSharing sharing(kWeights, {}, Time(1000), 3 * kWeights * sizeof(double) + 1);
  sharing.offer(bare_step(kWeights, 8));
  EXPECT_EQ(grant_all(sharing, 1), 3u);
  EXPECT_FALSE(sharing.answered(1, answer_of(kWeights, 1, 7)));
  EXPECT_FALSE(sharing.answered(1, answer_of(kWeights, 1, 6)));
  EXPECT_EQ(sharing.take_answers().size(), 2u);
  EXPECT_EQ(grant_all(sharing, 1), 0u) << "they are not on their way to the trainer";
  sharing.delivered();
  EXPECT_EQ(grant_all(sharing, 1), 1u);
  sharing.delivered();
  sharing.delivered();  // nothing waits
  EXPECT_EQ(grant_all(sharing, 1), 1u);
  EXPECT_EQ(sharing.open(1), 3u);
}

TEST(StepSharing, ALostWorkersAndAnEndedTrainersShareIsFree) {
  StepSharing sharing(1, {}, Time(1000), 4 * sizeof(double));
  sharing.offer(bare_step(1, 8));
  EXPECT_EQ(grant_all(sharing, 1), 4u);
  sharing.left(1);
  EXPECT_EQ(grant_all(sharing, 2), 4u);
  EXPECT_FALSE(sharing.answered(2, answer_of(1, 1, 7)));
  sharing.stop();
  EXPECT_TRUE(sharing.take_answers().empty());
  sharing.offer(bare_step(1, 8));
  EXPECT_EQ(grant_all(sharing, 2), 1u) << "three of the step before are open";
}

TEST(StepSharing, WhatIsUnderWayHasABoundInNumber) {
  StepSharing sharing(1, {}, Time(1000));
  sharing.offer(bare_step(1, 2 * limits::kQueuedMessages));
  EXPECT_EQ(grant_all(sharing, 1), limits::kQueuedMessages / 2);
}

TEST(StepSharing, AUnitThatIsLargerThanTheBoundIsGrantedByItself) {
  StepSharing sharing(100, {}, Time(1000), 8);
  sharing.offer(bare_step(100, 8));
  EXPECT_EQ(grant_all(sharing, 1), 1u);
}

// --------------------------------------------------------------------------------------------- over the stream

class SharedStreamTest : public testing::Test {
 protected:
  using Stream = grpc::ClientReaderWriter<flowloom::v1::ShareRequest, flowloom::v1::ShareReply>;

  // A trainer's end of the protocol.
  struct Trainer {
    explicit Trainer(const Served& served) : call(served), stub(flowloom::v1::Training::NewStub(served.channel)) {
      stream = stub->Share(&call.context);
    }
    ~Trainer() {
      call.context.TryCancel();
      if (!ended) stream->Finish();
    }
    bool offer(const RunSpec& run, std::uint32_t units, const std::string& run_id = "") {
      flowloom::v1::ShareRequest request;
      *request.mutable_step() = step_of(run, units);
      request.mutable_step()->mutable_run()->set_run_id(run_id);
      return stream->Write(request);
    }
    // The next reply that `wanted` is true of.
    std::optional<flowloom::v1::ShareReply> read(
        const std::function<bool(const flowloom::v1::ShareReply&)>& wanted) const {
      for (flowloom::v1::ShareReply reply; stream->Read(&reply);) {
        if (wanted(reply)) return reply;
      }
      return {};
    }
    grpc::Status end() {
      while (read([](const auto&) { return false; })) {
      }
      ended = true;
      return stream->Finish();
    }
    Served::Call call;
    std::unique_ptr<flowloom::v1::Training::Stub> stub;
    std::unique_ptr<Stream> stream;
    bool ended = false;
  };
  static bool any(const flowloom::v1::ShareReply&) { return true; }
  static bool gradient(const flowloom::v1::ShareReply& reply) { return reply.has_gradient(); }
  static bool one_helper(const flowloom::v1::ShareReply& reply) { return reply.workers() == 1; }

  std::unique_ptr<HandWorker> helper() {
    auto worker = std::make_unique<HandWorker>(served_);
    auto first = hello(2);
    first.add_capabilities(gradient_capability());
    worker->say_hello(first);
    return worker;
  }

  Served served_{RunText{.length = 96, .window = 5, .switches = {0}}};
};

TEST_F(SharedStreamTest, CarriesAStepToAWorkerAndItsSlopesBack) {
  Trainer trainer(served_);
  EXPECT_EQ(trainer.read(any)->workers(), 0u);
  const auto worker = helper();
  ASSERT_TRUE(trainer.read(one_helper));
  ASSERT_TRUE(trainer.offer(served_.run, 3));
  const auto weights = worker->read_until(CoordinatorMessage::kWeights);
  const auto grant = worker->read_until(CoordinatorMessage::kGradient);
  ASSERT_TRUE(weights && grant);
  EXPECT_EQ(grant->gradient().unit(), 2u);
  WorkerMessage answer;
  *answer.mutable_gradient() =
      answer_of(architecture_of(served_.run)->parameter_count(), weights->weights().offer(), 2);
  worker->say(answer);
  const auto reply = trainer.read(gradient);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->gradient().unit(), 2u);
  EXPECT_EQ(served_.status().workers(0).gradient_units(), 1u);
}

TEST_F(SharedStreamTest, EndsWhenAnotherTrainerShares) {
  Trainer first(served_);
  ASSERT_TRUE(first.read(any));
  Trainer second(served_);
  ASSERT_TRUE(second.read(any));
  const grpc::Status status = first.end();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("another training server"));
  const auto worker = helper();
  EXPECT_TRUE(second.read(one_helper));
}

TEST_F(SharedStreamTest, RefusesAStepOfAnotherRunAndOneThatMakesNoSense) {
  Trainer stranger(served_);
  stranger.offer(served_.run, 3, "ffffffffffffffffffffffffffffffff");
  EXPECT_EQ(stranger.end().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  Trainer confused(served_);
  confused.offer(served_.run, 0);
  EXPECT_EQ(confused.end().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(served_.status().proposals(), 0u);
}

// A trainer that goes away takes its step with it, and workers' late answers go nowhere.
TEST_F(SharedStreamTest, ForgetsATrainerThatHangsUp) {
  const auto worker = helper();
  {
    Trainer trainer(served_);
    ASSERT_TRUE(trainer.read(one_helper));
    ASSERT_TRUE(trainer.offer(served_.run, 1));
    ASSERT_TRUE(worker->read_until(CoordinatorMessage::kGradient));
  }
  Trainer next(served_);
  ASSERT_TRUE(next.read(any));
  WorkerMessage answer;
  *answer.mutable_gradient() = answer_of(architecture_of(served_.run)->parameter_count(), 1, 0);
  worker->say(answer);
  ASSERT_TRUE(next.offer(served_.run, 2));
  const auto grant = worker->read_until(CoordinatorMessage::kGradient);
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->gradient().offer(), 2u);
  EXPECT_EQ(grant->gradient().unit(), 1u);
  *answer.mutable_gradient() = answer_of(architecture_of(served_.run)->parameter_count(), 2, 1);
  worker->say(answer);
  const auto first = next.read(gradient);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->gradient().unit(), 1u) << "not unit 0 of the step that is gone";
}

}  // namespace
}  // namespace flowloom
