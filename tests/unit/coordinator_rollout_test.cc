#include "coordinator/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_world.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelRow model(std::uint32_t version, bool verified = true) {
  return {version, sha256("checkpoint " + std::to_string(version)), 1, 0, 0, "test", verified};
}

Rollout scheduled(std::vector<std::uint64_t> from) {
  return Rollout(RunText{.switches = std::move(from)}.run(), {}, {}, {});
}
Rollout asap() { return Rollout(RunText{.switches = {}}.run(), {}, {}, {}); }

std::string refusal(const RunText& before, const RunText& after, const std::vector<SwitchRecord>& switches,
                    std::uint64_t frontier) {
  try {
    Rollout::check_policy(after.run(), before.run(), switches, frontier);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConflict);
    return error.what();
  }
  return "";
}

TEST(Rollout, HasNothingDueBeforeAnEntryHasItsVersion) {
  Rollout rollout = scheduled({0});
  EXPECT_FALSE(rollout.due(0));
  rollout.published(model(1), {});
  EXPECT_FALSE(rollout.due(0));
}

TEST(Rollout, PlacesAScheduledSwitchWhereTheRunFileSaysHoweverLateItsVersionComes) {
  Rollout rollout = scheduled({0, 40});
  rollout.published(model(1), {0});
  rollout.placed(*rollout.due(0));
  rollout.published(model(2), {1});
  EXPECT_FALSE(rollout.due(36));
  const auto row = rollout.due(40);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->from, 40u);
  EXPECT_EQ(row->version, 2u);
  EXPECT_EQ(row->checkpoint, model(2).sha256);
  EXPECT_EQ(row->placement, Placement::kSchedule);
}

TEST(Rollout, WaitsForAWorkerToVerifyAVersion) {
  Rollout rollout = scheduled({0});
  rollout.published(model(1, false), {0});
  EXPECT_FALSE(rollout.due(0));
  EXPECT_THAT(rollout.waiting_for(0), HasSubstr("waiting for a worker to verify"));
  rollout.verified(1);
  EXPECT_TRUE(rollout.due(0));
}

TEST(Rollout, HasNoVersionWhereASwitchIsNotPlaced) {
  Rollout rollout = scheduled({0, 40});
  EXPECT_FALSE(rollout.version_for(0));
  rollout.published(model(1), {0, 1});
  rollout.placed(*rollout.due(0));
  EXPECT_EQ(rollout.version_for(36), 1u);
  EXPECT_FALSE(rollout.version_for(40));
}

TEST(Rollout, PlacesEntriesInOrderEvenIfTheLaterVersionCameFirst) {
  Rollout rollout = scheduled({0, 8, 16});
  rollout.published(model(1), {0});
  rollout.published(model(2), {2});
  rollout.placed(*rollout.due(0));
  EXPECT_FALSE(rollout.due(16));
  rollout.published(model(3), {1});
  ASSERT_TRUE(rollout.due(16));
  EXPECT_EQ(rollout.due(16)->from, 8u);
  rollout.placed(*rollout.due(16));
  EXPECT_EQ(rollout.due(16)->from, 16u);
  rollout.placed(*rollout.due(16));
  EXPECT_FALSE(rollout.due(16));
  EXPECT_EQ(rollout.version_for(15), 3u);
  EXPECT_EQ(rollout.version_for(16), 2u);
}

TEST(Rollout, GivesAnEntryToTheFirstVersionThatFulfilsIt) {
  Rollout rollout = scheduled({0});
  rollout.published(model(1), {0});
  rollout.published(model(2), {0});
  EXPECT_EQ(rollout.due(0)->version, 1u);
}

TEST(Rollout, SwitchesToOneVersionTwiceIfTheScheduleSaysSo) {
  Rollout rollout = scheduled({0, 40});
  rollout.published(model(1), {0, 1});
  rollout.placed(*rollout.due(0));
  ASSERT_TRUE(rollout.due(40));
  EXPECT_EQ(rollout.due(40)->version, 1u);
}

TEST(Rollout, ByClockPlacesTheNewestVerifiedVersionAboveEverythingGranted) {
  Rollout rollout = asap();
  EXPECT_FALSE(rollout.due(0));
  rollout.published(model(1), {});
  ASSERT_TRUE(rollout.due(0));
  EXPECT_EQ(rollout.due(0)->placement, Placement::kClock);
  rollout.placed(*rollout.due(0));
  EXPECT_FALSE(rollout.due(400));
  rollout.published(model(2), {});
  rollout.published(model(3), {});
  rollout.published(model(4, false), {});
  const auto row = rollout.due(400);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->from, 400u);
  EXPECT_EQ(row->version, 3u);
}

TEST(Rollout, ByClockNeverPlacesTwoSwitchesAtOneIndex) {
  Rollout rollout = asap();
  rollout.published(model(1), {});
  rollout.placed(*rollout.due(0));
  rollout.published(model(2), {});
  EXPECT_FALSE(rollout.due(0));  // nothing was granted since
  EXPECT_TRUE(rollout.due(4));
}

TEST(Rollout, ByClockNeverGoesBackToAnOlderVersion) {
  Rollout rollout = asap();
  rollout.published(model(1, false), {});
  rollout.published(model(2), {});
  rollout.placed(*rollout.due(0));
  rollout.verified(1);
  EXPECT_FALSE(rollout.due(4));
}

TEST(Rollout, ByClockOldUnitsKeepTheirVersion) {
  Rollout rollout = asap();
  rollout.published(model(1), {});
  rollout.placed(*rollout.due(0));
  rollout.published(model(2), {});
  rollout.placed(*rollout.due(8));
  EXPECT_EQ(rollout.version_for(7), 1u);
  EXPECT_EQ(rollout.version_for(8), 2u);
}

TEST(Rollout, NeedsWhatServesFromTheFrontierOnAndWhatMayServeNext) {
  Rollout rollout = scheduled({0, 8, 16});
  rollout.published(model(1), {0});
  EXPECT_THAT(rollout.needed(0), ElementsAre(1));
  rollout.placed(*rollout.due(0));
  rollout.published(model(2), {1});
  EXPECT_THAT(rollout.needed(0), ElementsAre(1, 2));
  rollout.placed(*rollout.due(8));
  EXPECT_THAT(rollout.needed(4), ElementsAre(1, 2));
  EXPECT_THAT(rollout.needed(8), ElementsAre(2));
}

TEST(Rollout, RefusesAScheduleWithoutAPlacedSwitch) {
  EXPECT_THAT(refusal({.switches = {0, 40}}, {.switches = {0}}, {{0, 1, {}}, {40, 2, {}}}, 48),
              HasSubstr("a switch at proposal 40, and the run file does not"));
}

TEST(Rollout, RefusesAScheduleThatMovesAPlacedSwitch) {
  EXPECT_THAT(refusal({.switches = {0, 40}}, {.switches = {0, 44}}, {{0, 1, {}}, {40, 2, {}}}, 20),
              HasSubstr("a switch at proposal 40"));
}

TEST(Rollout, RefusesAnotherConditionForAPlacedSwitch) {
  EXPECT_THAT(refusal({.switches = {0}}, {.switches = {0}, .first_step = 7}, {{0, 1, {}}}, 20),
              HasSubstr("placed by 'step 0', and the run file says 'step 7'"));
}

TEST(Rollout, RefusesANewSwitchBelowTheFrontier) {
  EXPECT_THAT(refusal({}, {.switches = {0, 40}}, {{0, 1, {}}}, 44), HasSubstr("new switch at proposal 40"));
}

TEST(Rollout, AcceptsANewSwitchAtTheFrontier) { EXPECT_EQ(refusal({}, {.switches = {0, 40}}, {{0, 1, {}}}, 40), ""); }

TEST(Rollout, AcceptsAnotherConditionForASwitchThatIsNotPlaced) {
  EXPECT_EQ(refusal({.switches = {0}}, {.switches = {0}, .first_step = 7}, {}, 0), "");
}

TEST(Rollout, RefusesAnotherPlacementOnceASwitchIsPlaced) {
  EXPECT_THAT(refusal({}, {.switches = {}}, {{0, 1, {}}}, 4), HasSubstr("the placement of this run was changed"));
  EXPECT_THAT(refusal({.switches = {}}, {}, {{0, 1, {}, Placement::kClock}}, 4),
              HasSubstr("the placement of this run was changed"));
  EXPECT_EQ(refusal({}, {.switches = {}}, {}, 0), "");
}

TEST(Rollout, AcceptsAnOperatorsSwitchThatTheRunFileDoesNotHave) {
  EXPECT_EQ(refusal({.switches = {0, 40}}, {.switches = {0, 40}},
                    {{0, 1, {}}, {20, 2, {}, Placement::kOperator}, {40, 3, {}}}, 60),
            "");
  EXPECT_EQ(refusal({.switches = {}}, {.switches = {}},
                    {{0, 2, {}, Placement::kClock}, {20, 1, {}, Placement::kOperator}}, 60),
            "");
}

TEST(Rollout, RefusesANewEntryBelowAnOperatorsSwitch) {
  EXPECT_THAT(refusal({}, {.switches = {0, 44}}, {{0, 1, {}}, {48, 2, {}, Placement::kOperator}}, 20),
              HasSubstr("new switch at proposal 44"));
}

}  // namespace
}  // namespace flowloom
