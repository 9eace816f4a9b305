#include "worker/executor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "spec/packing.h"
#include "worker_fakes.h"

namespace flowloom {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Two versions of the small run's flow.
class ExecutorTest : public ::testing::Test {
 protected:
  Executor executor() {
    return Executor(run_, 7, lane_engine(), [this](std::uint32_t version) -> std::shared_ptr<const Model> {
      const auto found = models_.find(version);
      if (found == models_.end())
        throw Error(ErrorCode::kNotFound, "There is no version " + std::to_string(version) + ".");
      return found->second;
    });
  }

  flowloom::v1::SampleGrant sample_grant(std::uint64_t first_unit, std::uint32_t version) const {
    flowloom::v1::SampleGrant grant;
    grant.set_first_unit(first_unit);
    grant.set_units(1);
    grant.set_unit_size(static_cast<std::uint32_t>(run_.unit));
    grant.set_version(version);
    return grant;
  }

  // Of proposal `index`, drawn under version 1, to version 2, with the numbers as the log has them.
  flowloom::v1::ReweighGrant reweigh_grant(std::uint64_t index) {
    const std::uint64_t unit = index / run_.unit;
    const Draws draws = models_.at(1)->draw(run_.noise_key(), Purpose::kBase, unit * run_.unit, run_.unit);
    flowloom::v1::ReweighGrant grant;
    grant.set_index(index);
    grant.set_unit_size(static_cast<std::uint32_t>(run_.unit));
    grant.set_state_version(1);
    grant.set_version(2);
    grant.set_log_p(draws.log_p[index % run_.unit]);
    grant.set_log_q(draws.log_q[index % run_.unit]);
    return grant;
  }

  RunSpec run_ = small_run();
  std::map<std::uint32_t, std::shared_ptr<const Model>> models_ = {{1, model_of(small_checkpoint("one"), run_)},
                                                                   {2, model_of(small_checkpoint("two"), run_)}};
};

TEST_F(ExecutorTest, AUnitIsTheDrawsAtItsOwnAddresses) {
  const auto message = executor().sample(sample_grant(3, 2), 3);
  ASSERT_TRUE(message.has_sample());
  const Draws draws = models_.at(2)->draw(run_.noise_key(), Purpose::kBase, 3 * run_.unit, run_.unit);
  EXPECT_EQ(message.sample().unit(), 3u);
  EXPECT_EQ(message.sample().version(), 2u);
  EXPECT_EQ(message.sample().epoch(), 7u);
  EXPECT_EQ(unpacked(message.sample().log_p()), draws.log_p);
  EXPECT_EQ(unpacked(message.sample().log_q()), draws.log_q);
  EXPECT_EQ(unpacked(message.sample().sums()), draws.sums);
}

TEST_F(ExecutorTest, TheSameGrantGivesTheSameBytes) {
  EXPECT_EQ(executor().sample(sample_grant(5, 1), 5).SerializeAsString(),
            executor().sample(sample_grant(5, 1), 5).SerializeAsString());
}

TEST_F(ExecutorTest, NaNsTravelAsTheCanonicalOne) {
  struct NanModel final : Model {
    Draws draw(NoiseKey, Purpose, std::uint64_t, std::size_t count, Fields) const override {
      const double odd = std::bit_cast<double>(0xfff8000000001234);
      return {std::vector<double>(count, odd),
              std::vector<double>(count, -kInfinity),
              std::vector<double>(4 * count, 0),
              {}};
    }
    Densities densities(std::span<const double>) const override { return {}; }
  };
  models_[1] = std::make_shared<NanModel>();
  const auto message = executor().sample(sample_grant(0, 1), 0);
  std::uint64_t word = 0;
  std::memcpy(&word, message.sample().log_p().data(), sizeof word);
  EXPECT_EQ(word, 0x7ff8000000000000u);
  EXPECT_EQ(unpacked(message.sample().log_q())[0], -kInfinity);
}

TEST_F(ExecutorTest, WhatGoesWrongIsAFailureWithItsSentence) {
  const auto unknown = executor().sample(sample_grant(4, 9), 4);
  ASSERT_TRUE(unknown.has_failure());
  EXPECT_EQ(unknown.failure().unit(), 4u);
  EXPECT_EQ(unknown.failure().sentence(), "There is no version 9.");

  auto grant = sample_grant(4, 1);
  grant.set_unit_size(3);
  EXPECT_EQ(executor().sample(grant, 4).failure().sentence(), "The grant's units have 3 proposals, the run's 16.");

  auto reweigh = reweigh_grant(21);
  reweigh.set_version(9);
  const auto failed = executor().reweigh(reweigh);
  ASSERT_TRUE(failed.has_failure());
  EXPECT_EQ(failed.failure().reweigh_index(), 21u);
}

TEST_F(ExecutorTest, AReweighGivesTheStatesLogQUnderTheOtherVersion) {
  for (const std::uint64_t index : {0u, 15u, 16u, 53u}) {
    const auto message = executor().reweigh(reweigh_grant(index));
    ASSERT_TRUE(message.has_reweigh());
    EXPECT_EQ(message.reweigh().index(), index);
    EXPECT_EQ(message.reweigh().version(), 2u);
    EXPECT_EQ(message.reweigh().mismatch(), 0);
    EXPECT_LT(message.reweigh().round_trip(), 1e-10);
    const std::uint64_t unit = index / run_.unit;
    const Draws draws = models_.at(1)->draw(run_.noise_key(), Purpose::kBase, unit * run_.unit, run_.unit);
    EXPECT_EQ(message.reweigh().log_q(), models_.at(2)->densities(draws.fields).log_q[index % run_.unit]);
    EXPECT_NE(message.reweigh().log_q(), draws.log_q[index % run_.unit]);
  }
}

TEST_F(ExecutorTest, AReweighToItsOwnVersionGivesItsOwnLogQ) {
  auto grant = reweigh_grant(37);
  grant.set_version(1);
  EXPECT_NEAR(executor().reweigh(grant).reweigh().log_q(), grant.log_q(), 1e-9);
}

TEST_F(ExecutorTest, ARebuiltStateThatMissesTheLogSaysByHowMuch) {
  auto grant = reweigh_grant(37);
  grant.set_log_p(grant.log_p() + 0.5);
  grant.set_log_q(grant.log_q() - 0.25);
  EXPECT_NEAR(executor().reweigh(grant).reweigh().mismatch(), 0.5, 1e-12);
  grant.set_log_q(std::nan(""));
  EXPECT_EQ(executor().reweigh(grant).reweigh().mismatch(), kInfinity);
}

TEST(Mismatch, IsSafeWithWhatIsNoNumber) {
  EXPECT_EQ(mismatch(1.5, 1.0), 0.5);
  EXPECT_EQ(mismatch(std::nan(""), std::nan("")), 0);
  EXPECT_EQ(mismatch(std::nan(""), 1.0), kInfinity);
  EXPECT_EQ(mismatch(1.0, std::nan("")), kInfinity);
  EXPECT_EQ(mismatch(-kInfinity, -kInfinity), 0);
  EXPECT_EQ(mismatch(-kInfinity, kInfinity), kInfinity);
  EXPECT_EQ(mismatch(1.0, kInfinity), kInfinity);
}

TEST_F(ExecutorTest, AGradientIsTheObjectivesAtTheStepsOwnAddresses) {
  const auto architecture = architecture_of(run_);
  const std::vector<double> weights = architecture->initial_weights(run_.noise_key());
  flowloom::v1::StepWeights step;
  step.set_offer(2);
  step.set_weights(pack(weights));
  flowloom::v1::GradientGrant grant;
  grant.set_step(5);
  grant.set_offer(2);
  grant.set_unit(3);
  grant.set_unit_size(20);
  Executor own = executor();
  EXPECT_TRUE(own.gradient(grant).has_failure()) << "without its step's weights";
  own.use(step);
  const auto message = own.gradient(grant);
  ASSERT_TRUE(message.has_gradient());
  const Gradient expected = lane_engine()
                                .objective(theory_of(run_), architecture, run_.numerics.precision)
                                ->reverse_kl(run_.train.gradient, weights, run_.noise_key(), training_index(5, 60), 20);
  EXPECT_EQ(message.gradient().step(), 5);
  EXPECT_EQ(message.gradient().offer(), 2u);
  EXPECT_EQ(message.gradient().unit(), 3u);
  EXPECT_EQ(unpacked(message.gradient().slopes()), expected.sum);
  EXPECT_EQ(unpacked(message.gradient().log_w()), expected.log_w);
  grant.set_offer(3);
  EXPECT_EQ(own.gradient(grant).failure().gradient().offer(), 3u);
}

}  // namespace
}  // namespace flowloom
