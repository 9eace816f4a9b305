#include "client/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "client/final_report.h"
#include "client/live_block.h"
#include "client/text.h"

namespace flowloom {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

v1::StatusReply status_in_full() {
  v1::StatusReply status;
  status.set_name("phi4-8x8");
  status.set_run_id("0123456789abcdef0123456789abcdef");
  status.set_identity(std::string(32, '\x5a'));
  status.set_epoch(3);
  status.set_state(v1::StatusReply::STATE_RUNNING);
  status.set_proposals(102400);
  status.set_length(200704);
  status.set_accepted(62701);
  status.set_invalid(2);
  status.set_longest_rejection_run(41);
  status.set_acceptance(0.61231);
  status.set_ess(0.5612);
  status.set_log_z(12.3451);
  status.set_log_z_error(0.0021);
  status.set_proposals_per_second(23400);
  status.set_observable("chi2");
  auto* observable = status.add_observables();
  observable->set_name("chi2");
  observable->set_symbol("χ₂");
  observable->set_mean(0.74512);
  observable->set_error(0.00251);
  observable->set_tau_int(1.23);
  auto* model = status.mutable_models()->add_versions();
  model->set_version(1);
  model->set_sha256(std::string(32, '\xab'));
  model->set_size(105344);
  model->set_training_step(300);
  model->set_ess(0.31);
  model->set_origin("ESS >= 0.3");
  model->set_verified(true);
  auto* row = status.mutable_models()->add_switches();
  row->set_version(1);
  auto* worker = status.add_workers();
  worker->set_worker(1);
  worker->set_name("worker-1");
  worker->set_device("cpu");
  worker->set_leased_units(12);
  worker->set_answered_units(100);
  worker->set_connected_seconds(72);
  auto* training = status.mutable_training();
  training->set_state(v1::TrainingReport::STATE_TRAINING);
  training->set_step(3000);
  training->set_max_steps(5000);
  training->set_seconds(60);
  training->set_loss(-12.345);
  training->set_ess(0.412);
  training->set_ess_average(0.398);
  training->set_wanted_ess(0.5);
  training->set_samples_per_second(45100);
  status.set_head("00ff");
  status.set_numerics("lanes, mixed, revision 1");
  status.add_notes("Nothing is discarded as burn-in; the chain starts at the first valid proposal.");
  return status;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(StatusText, ShowsTheFiguresThatPeopleAskFor) {
  const std::string text = joined(status_lines(status_in_full()));
  EXPECT_THAT(text, AllOf(HasSubstr("phi4-8x8"), HasSubstr("epoch 3"), HasSubstr("running"),
                          HasSubstr("102400 of 200704 (51.0 %)"), HasSubstr("23.4 k per second"),
                          HasSubstr("2 invalid"), HasSubstr("0.6123"), HasSubstr("longest rejection run 41"),
                          HasSubstr("12.3451(21)"), HasSubstr("0.7451(25)")));
  EXPECT_THAT(
      text, AllOf(HasSubstr("ESS >= 0.3"), HasSubstr("from proposal 0"), HasSubstr("worker-1"), HasSubstr("12 leased"),
                  HasSubstr("step 3000 of at most 5000"), HasSubstr("00ff"), HasSubstr("Nothing is discarded")));
}

TEST(StatusText, LabelsLiveEstimatesAsSuch) {
  EXPECT_THAT(joined(status_lines(status_in_full())), HasSubstr("live estimate"));
  ChainAnalysis::Result analysis;
  const std::string text = joined(status_lines(status_in_full(), analysis));
  EXPECT_THAT(text, AllOf(HasSubstr("Gamma method"), Not(HasSubstr("live estimate"))));
}

TEST(StatusText, SurvivesAnEmptyStatus) { EXPECT_THAT(joined(status_lines({})), HasSubstr("not running")); }

TEST(StatusText, CountsWhereVersionsStandAndNamesFailuresOnly) {
  v1::StatusReply status;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    auto* worker = status.add_workers();
    worker->set_worker(i);
    worker->set_name("node-" + std::to_string(i));
    auto* old = worker->add_versions();
    old->set_version(1);
    old->set_state(v1::VersionOnWorker::STATE_RETIRED);
    auto* row = worker->add_versions();
    row->set_version(2);
    row->set_state(i % 60 == 0  ? v1::VersionOnWorker::STATE_FAILED
                   : i % 2 == 0 ? v1::VersionOnWorker::STATE_WARM
                                : v1::VersionOnWorker::STATE_ACTIVE);
    if (i % 60 == 0) row->set_sentence("its log_q differs by 1.");
  }
  const std::string text = joined(status_lines(status));
  EXPECT_THAT(text, HasSubstr("version 2: 145 warm, 150 active, 5 failed"));
  EXPECT_THAT(text, HasSubstr("worker 60, node-60: its log_q differs by 1."));
  EXPECT_THAT(text, HasSubstr("and 2 more"));
  EXPECT_THAT(text, Not(HasSubstr("retired")));
}

TEST(StatusText, ShowsWhoGaveWrongNumbersAndInHowManyUnits) {
  v1::StatusReply status = status_in_full();
  status.mutable_workers(0)->set_audited_units(9);
  auto* row = status.add_quarantined();
  row->set_name("node-7");
  row->set_reason("for unit 5 it gave other numbers");
  row->set_wrong_units(2);
  const std::string text = joined(status_lines(status));
  EXPECT_THAT(text, HasSubstr("9 compared"));
  EXPECT_THAT(text, HasSubstr("'node-7', 2 wrong: for unit 5 it gave other numbers"));
  const auto json = status_json(status);
  EXPECT_EQ(json["quarantined"][0]["wrong_units"], 2);
}

TEST(StatusText, ShowsWhatWhoIsInQuarantineDidBefore) {
  v1::StatusReply status = status_in_full();
  auto* row = status.add_quarantined();
  row->set_name("node-7");
  row->set_reason("for unit 5 it gave other numbers");
  row->set_wrong_units(1);
  row->set_answered_units(12);
  row->set_audited_units(4);
  row->set_expired_units(3);
  EXPECT_THAT(joined(status_lines(status)),
              HasSubstr("'node-7', 1 wrong, 12 answered, 4 compared, 3 expired: for unit 5 it gave other numbers"));
  const auto json = status_json(status)["quarantined"][0];
  EXPECT_EQ(json["answered_units"], 12);
  EXPECT_EQ(json["audited_units"], 4);
  EXPECT_EQ(json["expired_units"], 3);
}

TEST(StatusText, NamesAWorkerThatDoesNotAnswer) {
  v1::StatusReply status = status_in_full();
  EXPECT_THAT(joined(status_lines(status)), Not(HasSubstr("not answering")));
  EXPECT_EQ(status_json(status)["workers"][0]["silent"], false);
  status.mutable_workers(0)->set_expired_units(4);
  status.mutable_workers(0)->set_silent(true);
  EXPECT_THAT(joined(status_lines(status)), HasSubstr("not answering, 4 expired"));
  EXPECT_EQ(status_json(status)["workers"][0]["silent"], true);
}

TEST(StatusText, LetsNoPeerControlTheTerminal) {
  v1::StatusReply status = status_in_full();
  status.mutable_workers(0)->set_name("\x1b]0;owned\x07");
  status.set_sentence("\x1b[2J");
  status.mutable_models()->mutable_versions(0)->set_origin("\x1b[31m");
  EXPECT_THAT(joined(status_lines(status)), Not(HasSubstr("\x1b")));
  EXPECT_THAT(joined(live_block(status, {})), Not(HasSubstr("\x1b")));
  EXPECT_THAT(live_line(status, 0), Not(HasSubstr("\x1b")));
}

TEST(StatusJson, HasEveryFieldOfTheMessage) {
  const auto json = status_json(status_in_full());
  const std::set<std::string> renamed{
      "observables"};  // "live_estimates", so that nobody takes them for the Gamma method's
  const auto* descriptor = v1::StatusReply::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const std::string name = descriptor->field(i)->name();
    if (name == "seen") continue;  // for the next connection, not for people
    EXPECT_TRUE(json.contains(renamed.contains(name) ? "live_estimates" : name)) << name;
  }
  for (const char* key : {"step", "loss", "ess", "wanted_ess", "state"})
    EXPECT_TRUE(json.at("training").contains(key)) << key;
  EXPECT_THAT(json.at("identity").get<std::string>(), testing::StartsWith("5a5a"));
  EXPECT_EQ(json.at("proposals"), 102400);
  EXPECT_EQ(json.at("models").at("versions").at(0).at("ess"), 0.31);
}

TEST(StatusJson, WritesNumbersThatAreNotFiniteAsNull) {
  v1::StatusReply status = status_in_full();
  status.set_ess(std::nan(""));
  const std::string text = json_text(status_json(status), false);
  EXPECT_THAT(text, HasSubstr("\"ess\":null"));
  EXPECT_TRUE(nlohmann::json::accept(text));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
}

TEST(ObservableLines, MarkWhatIsNotReliableOrUndefined) {
  const auto one = [](double, SumsOf) { return 1.0; };
  const Observable chi2("chi2", "χ₂", "", one), m("m", "⟨M⟩", "", one);
  const std::vector<ObservableRow> rows = {
      {chi2,
       true,
       {.value = 0.74512, .error = 0.00251, .tau_int = 1.2, .tau_int_error = 0.1, .reliable = false, .replica_q = {}}},
      {m, false, {}}};
  const auto lines = observable_lines(rows);
  EXPECT_THAT(lines, Contains(HasSubstr("0.7451(25) *")));
  EXPECT_THAT(lines, Contains(HasSubstr("undefined **")));
  EXPECT_THAT(lines, SizeIs(5));  // head, two rows, two footnotes
}

TEST(ObservableLines, SayWhatNeverChangedBesideWhatDid) {
  const Observable q("charge", "⟨Q⟩", "", [](double, SumsOf) { return 0.0; }),
      p("plaquette", "⟨cos P⟩", "", [](double, SumsOf) { return 1.0; });
  const ObservableRow frozen{q, true, {.error = 0, .replica_q = {}}};
  const ObservableRow moving{p, true, {.value = 0.9, .error = 0.1, .variance = 1, .reliable = true, .replica_q = {}}};
  EXPECT_THAT(observable_lines(std::vector{moving, frozen}), Contains(HasSubstr("never changed: ⟨Q⟩; ")));
  EXPECT_THAT(observable_lines(std::vector{moving, moving}), Not(Contains(HasSubstr("never changed"))));
  EXPECT_THAT(observable_lines(std::vector{frozen, frozen}), Not(Contains(HasSubstr("never changed"))));
}

ObservableRow row_with(double value, double error, std::optional<double> exact) {
  return {Observable("m", "⟨M⟩", "", [](double, SumsOf) { return 1.0; }),
          true,
          {.value = value, .error = error, .reliable = true, .replica_q = {}},
          exact};
}

TEST(ObservableLines, ShowHowManyErrorsAMeanIsOffWhatIsKnownExactly) {
  const std::vector<ObservableRow> rows{row_with(1.5, 0.25, 2.0), row_with(1, 0.1, {}), row_with(3, 0, 3.0),
                                        row_with(2, 1e-5, 1.0)};
  const auto lines = observable_lines(rows);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("exact"), HasSubstr("off by")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("  2  "), testing::EndsWith("  -2.0 σ")));
  EXPECT_THAT(lines[2], Not(HasSubstr("σ")));
  EXPECT_THAT(lines[3], testing::EndsWith("  –"));
  EXPECT_THAT(lines[4], testing::EndsWith("+1e+05 σ"));
  const auto json = observables_json(rows);
  EXPECT_EQ(json[0].at("exact"), 2);
  EXPECT_EQ(json[0].at("deviation"), -2);
  EXPECT_FALSE(json[1].contains("exact"));
}

TEST(ObservableLines, HaveNoSuchColumnsWhereNothingIs) {
  EXPECT_THAT(observable_lines(std::vector{row_with(1, 0.1, {})})[0], Not(HasSubstr("exact")));
}

TEST(FinalReport, SaysWhereEverythingIsAndWhatToTryNext) {
  FinalReport report{status_in_full(), {}, {}, 72, "runs/my run"};
  report.analysis.proposals = 200704;
  const std::string text = joined(final_lines(report));
  EXPECT_THAT(text, AllOf(HasSubstr("0 steps discarded"), HasSubstr("sha256 abababababab…"), HasSubstr("00ff"),
                          HasSubstr("flowloom verify 'runs/my run'")));
  EXPECT_EQ(final_json(report).at("directory"), "runs/my run");
  EXPECT_THAT(json_text(final_json(report)),
              HasSubstr("\"proposals_per_second\": null"));  // nothing was sampled now
}

TEST(FinalReport, DoesNotClaimThatNothingWasDiscardedWhenSomeWas) {
  FinalReport report{status_in_full(), {}, {}, 0, "d"};
  report.analysis.discarded = 100;
  EXPECT_THAT(joined(final_lines(report)),
              AllOf(HasSubstr("100 steps discarded"), Not(HasSubstr("Nothing is discarded"))));
}

TEST(ShellWord, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(shell_word("runs/phi4-8x8"), "runs/phi4-8x8");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(LiveBlock, FitsEightyColumnsAndTwelveLines) {
  v1::StatusReply status = status_in_full();
  status.set_sentence(std::string(300, 'x'));
  const auto lines = live_block(status, {72, std::string(200, 'n'), std::string(200, 'f'), 80});
  EXPECT_LE(lines.size(), kBlockLines);
  for (const std::string& line : lines) EXPECT_LE(display_width(line), 80u) << line;
  EXPECT_THAT(joined(lines), AllOf(HasSubstr("step 3000 of 5000"), HasSubstr("ETA 40 s"), HasSubstr("0.7451(25)"),
                                   HasSubstr("live estimate"), HasSubstr("102400 of 200704"), HasSubstr("ETA 4 s")));
}

TEST(LiveBlock, LosesNothingAtEightyColumnsInAUsualRun) {
  for (const std::string& line : live_block(status_in_full(), {72, "", "", 80})) EXPECT_THAT(line, Not(HasSubstr("…")));
}

TEST(LiveBlock, FitsAnyNarrowTerminal) {
  for (std::size_t columns = 1; columns < 80; ++columns) {
    for (const std::string& line : live_block(status_in_full(), {72, "notice", "footer", columns})) {
      ASSERT_LE(display_width(line), columns) << line;
    }
  }
}

TEST(LiveBlock, LeavesTrainingOutWhereThereIsNone) {
  v1::StatusReply status = status_in_full();
  status.clear_training();
  EXPECT_THAT(joined(live_block(status, {})), Not(HasSubstr("loss")));
}

TEST(Eta, IsUnknownWithoutARate) {
  v1::StatusReply status = status_in_full();
  status.set_proposals_per_second(0);
  EXPECT_TRUE(std::isnan(chain_eta(status)));
  EXPECT_TRUE(std::isnan(training_eta({})));
  status.set_proposals(status.length());
  EXPECT_EQ(chain_eta(status), 0);
}

TEST(RateMeter, CountsOnlyTheTimeInWhichProposalsCame) {
  RateMeter meter;
  const RateMeter::Clock::time_point start{};
  EXPECT_TRUE(std::isnan(meter.per_second()));
  meter.seen(0, start);
  meter.seen(0, start + std::chrono::seconds(100));  // waiting for a version
  meter.seen(1000, start + std::chrono::seconds(102));
  meter.seen(2000, start + std::chrono::seconds(104));
  EXPECT_DOUBLE_EQ(meter.per_second(), 500);  // 2000 / (2 + 2)
}

TEST(StatusLines, ShowTheTrainingsRateBatchAndBothEss) {
  v1::StatusReply status;
  v1::TrainingReport& training = *status.mutable_training();
  training.set_state(v1::TrainingReport::STATE_TRAINING);
  training.set_ess(0.5);
  training.set_learning_rate(0.00125);
  training.set_batch(512);
  const auto text = [&] {
    std::string all;
    for (const std::string& line : status_lines(status)) all += line + "\n";
    return all;
  };
  EXPECT_THAT(text(), AllOf(HasSubstr("learning rate 0.00125, batch 512"), Not(HasSubstr("target samples"))));
  EXPECT_TRUE(status_json(status).at("training").at("ess_from_target").is_null());
  training.set_ess_from_target(0.0625);
  EXPECT_THAT(text(), HasSubstr("from target samples 0.0625"));
  EXPECT_EQ(status_json(status).at("training").at("ess_from_target"), 0.0625);
  EXPECT_EQ(status_json(status).at("training").at("batch"), 512);
}

}  // namespace
}  // namespace flowloom
