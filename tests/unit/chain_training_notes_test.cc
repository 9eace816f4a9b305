#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "chain/status_reply.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::TrainingReport trained(double ess) {
  v1::TrainingReport report;
  report.set_state(v1::TrainingReport::STATE_TRAINED);
  report.set_step(1000);
  report.set_ess(ess);
  return report;
}

TEST(TrainingNotes, AnEssThatTheTargetsSamplesDenyIsSaid) {
  v1::TrainingReport report = trained(0.9);
  EXPECT_THAT(training_notes(report, {}), IsEmpty());
  report.set_ess_from_target(0.8);
  EXPECT_THAT(training_notes(report, {}), IsEmpty());
  report.set_ess_from_target(0);
  EXPECT_THAT(training_notes(report, {}), ElementsAre(HasSubstr("0.9 by its own samples and 0 by the target's")));
}

TEST(TrainingNotes, ManySkippedStepsAreSaid) {
  v1::TrainingReport report = trained(0.5);
  report.set_skipped_steps(3);
  EXPECT_THAT(training_notes(report, {}), IsEmpty());
  report.set_skipped_steps(990);
  EXPECT_THAT(training_notes(report, {}), ElementsAre(HasSubstr("990 of 1000 training steps were skipped")));
}

TEST(TrainingNotes, StepsAfterTheTrainedVersionAreSaidNotToServe) {
  v1::ListReply models;
  auto* version = models.add_versions();
  version->set_version(1);
  version->set_origin("trained");
  version->set_training_step(1000);
  EXPECT_THAT(training_notes(trained(0.5), models), IsEmpty());
  version->set_training_step(600);
  EXPECT_THAT(training_notes(trained(0.5), models), ElementsAre(HasSubstr("version 1 (step 600)")));
}

}  // namespace
}  // namespace flowloom
