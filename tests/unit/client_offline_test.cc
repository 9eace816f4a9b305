// The commands on a run directory that nobody serves, made here through the store.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <thread>

#include "chain/chain.h"
#include "chain/end.h"
#include "chain/log_state.h"
#include "chain/store.h"
#include "client/offline_status.h"
#include "client/samples.h"
#include "client/source.h"
#include "client_cases.h"
#include "flow/catalog.h"
#include "program/run_directory.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kCheckpoint[] = "a checkpoint that nobody loads";

class Offline : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "flowloom_offline_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    directory_ = RunDirectory(folder_ / "run");
    directory_.create();
    write_file_atomically(folder_ / "run.toml", kRunFile);
    directory_.write_run_file(kRunFile);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // A log of `units` units of four proposals, with one NaN among its numbers.
  void make_chain(std::size_t units) {
    const RunSpec run = load_run_text(kRunFile, "run.toml");
    Store store = Store::create(directory_.store(), run, std::string(32, 'a'));
    const Sha256 checkpoint = sha256(kCheckpoint);
    write_file_atomically(directory_.model(1), kCheckpoint);
    store.add_model({.version = 1,
                     .sha256 = checkpoint,
                     .size = 1000,
                     .training_step = 5000,
                     .ess = 0.5,
                     .origin = "trained",
                     .verified = true},
                    {0});
    const SwitchRecord row{0, 1, checkpoint};
    store.write({.switches = {row}});
    store.append({row});
    Chain chain(run.noise_key());
    for (std::size_t u = 0; u < units; ++u) {
      UnitData data{4 * u, 1, {}, {}, {}};
      for (std::size_t k = 0; k < 4; ++k) {
        const double x = 0.1 * static_cast<double>(4 * u + k);
        data.log_p.push_back(std::sin(7 * x));
        data.log_q.push_back(std::cos(5 * x));
      }
      if (u == 1) data.log_p[2] = std::numeric_limits<double>::quiet_NaN();  // proposal 6
      for (std::size_t s = 0; s < 16; ++s) data.sums.push_back(std::sin(static_cast<double>(16 * u + s)));
      auto accepted = chain.advance(data);
      store.append({UnitRecord{std::move(data), std::move(accepted)}});
    }
  }

  std::string where() const { return directory_.path().string(); }

  std::filesystem::path folder_;
  RunDirectory directory_{""};
};

TEST_F(Offline, StatusOfACompleteChainHasTheGammaMethodsFigures) {
  make_chain(3);  // 10 proposals are three units of four
  const auto json = nlohmann::json::parse(flowloom_command({"status", where(), "--json"}).out);
  EXPECT_EQ(json.at("state"), "complete");
  EXPECT_EQ(json.at("proposals"), 12);
  EXPECT_EQ(json.at("length"), 12);
  EXPECT_EQ(json.at("invalid"), 1);
  EXPECT_EQ(json.at("observable"), "phi2");
  EXPECT_EQ(json.at("live"), false);
  EXPECT_EQ(json.at("analysis").at("method"), "Gamma method");
  EXPECT_THAT(json.at("analysis").at("observables"), SizeIs(8));
  EXPECT_THAT(json.at("notes").dump(), HasSubstr("Invalid proposals"));
  EXPECT_THAT(flowloom_command({"status", where()}).out, AllOf(HasSubstr("complete"), HasSubstr("Gamma method")));
}

TEST_F(Offline, ADamagedLogIsNotRewound) {
  make_chain(3);
  SQLite::Database(directory_.store().string(), SQLite::OPEN_READWRITE)
      .exec("UPDATE records SET data = zeroblob(length(data)) WHERE sequence = 3");
  EXPECT_THAT(refusal({"rewind", where(), "--to", "2", "--reason", "r"}),
              AllOf(HasSubstr("Record 3 of"), HasSubstr("was changed"), HasSubstr("a whole copy of chain.sqlite"),
                    HasSubstr("in another directory")));
  Store::open(directory_.store(), Store::Mode::kReadOnly).check_links(4, 4);  // the last one: nothing was added
  EXPECT_EQ(Store::open(directory_.store(), Store::Mode::kReadOnly).size(), 4);
}

TEST_F(Offline, ADirectoryWhoseStoreIsGoneIsSaidToBeOne) {
  make_chain(1);
  std::filesystem::remove(directory_.store());
  for (const char* command : {"status", "digest", "models", "samples", "verify"}) {
    ErrorCode code{};
    EXPECT_THAT(refusal({command, where()}, &code), HasSubstr("its chain.sqlite is gone; put that back")) << command;
    EXPECT_EQ(code, ErrorCode::kConflict);
  }
  EXPECT_THAT(refusal({"rewind", where(), "--to", "0", "--reason", "r"}), HasSubstr("its chain.sqlite is gone"));
}

TEST_F(Offline, AWatchWaitsForAStoreThatAnotherHolds) {
  make_chain(3);
  auto holder = std::make_unique<Store>(Store::open(directory_.store(), Store::Mode::kReadOnly));
  EXPECT_THAT(refusal({"status", where(), "--watch", "--wait", "0"}), HasSubstr("held by another process"));
  std::jthread leaving([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    holder.reset();
  });
  const Outcome watched = flowloom_command({"status", where(), "--watch", "--json"});
  EXPECT_EQ(watched.code, 0);
  EXPECT_THAT(watched.out, HasSubstr("complete"));
  EXPECT_THAT(watched.err, AllOf(HasSubstr("held by another process"), HasSubstr("trying again")));
}

// One proposal of a weight like no other, and a chain that stays there.
TEST_F(Offline, APoorFlowIsSaidToBe) {
  const auto poor_notes = [&](double weight) {
    std::filesystem::remove(directory_.store());
    const RunSpec run = load_run_text(kRunFile, "run.toml");
    Store store = Store::create(directory_.store(), run, std::string(32, 'a'));
    Chain chain(run.noise_key());
    for (std::size_t u = 0; u < 300; ++u) {
      UnitData data{4 * u, 1, {0, 0, 0, 0}, {0, 0, 0, 0}, std::vector<double>(16, 1.0)};
      if (u == 100) data.log_p[0] = weight;
      auto accepted = chain.advance(data);
      store.append({UnitRecord{std::move(data), std::move(accepted)}});
    }
    const auto status = offline_status(store, run);
    return std::count_if(status.notes().begin(), status.notes().end(),
                         [](const std::string& note) { return note.starts_with("The flow is poor (ESS "); });
  };
  EXPECT_EQ(poor_notes(0), 0);
  EXPECT_EQ(poor_notes(8), 1);
}

TEST_F(Offline, StatusAgreesWithTheAnalysisOfTheSameLog) {
  make_chain(3);
  const auto source = open_source(where());
  EXPECT_FALSE(source->live());
  const auto status = source->status();
  const auto analysis = analyse(*source, 0);
  EXPECT_EQ(status.accepted(), analysis.accepted);
  EXPECT_EQ(status.longest_rejection_run(), analysis.longest_rejection_run);
  EXPECT_DOUBLE_EQ(status.acceptance(), analysis.acceptance);
  EXPECT_NEAR(status.ess(), analysis.ess, 1e-12);
  EXPECT_NEAR(status.log_z(), analysis.log_z.value, 1e-12);
  EXPECT_NEAR(status.observables(0).mean(), analysis.rows[0].estimate.value, 1e-12);
}

TEST_F(Offline, StatusOfAnUnfinishedChainSaysHowToGoOn) {
  make_chain(2);
  EXPECT_THAT(flowloom_command({"status", where()}).out,
              AllOf(HasSubstr("not running"), HasSubstr("flowloom up"), HasSubstr("8 of 12")));
}

TEST_F(Offline, StatusNamesWhoIsInQuarantine) {
  make_chain(6);
  Store::open(directory_.store(), Store::Mode::kReadWrite)
      .write({.workers = {{1, "node-7", "cpu"}, {2, "node-8", "cpu"}, {3, "node-7", "cpu"}},
              .quarantined = {{"node-7", "for unit 5 it gave other numbers"}}});
  EXPECT_THAT(flowloom_command({"status", where()}).out,
              AllOf(HasSubstr("'node-7', 1 wrong: for unit 5 it gave other numbers"), Not(HasSubstr("node-8"))));
}

TEST_F(Offline, StatusOfAnEmptyLogIsNoError) {
  make_chain(0);
  const auto json = nlohmann::json::parse(flowloom_command({"status", where(), "--json"}).out);
  EXPECT_EQ(json.at("proposals"), 0);
  EXPECT_TRUE(json.at("acceptance").is_null());
}

TEST_F(Offline, WatchingAStoreShowsItOnce) {
  make_chain(3);
  const std::string out = flowloom_command({"status", where(), "--watch", "--json"}).out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST_F(Offline, AChainThatItsDataStoppedIsComplete) {
  make_chain(2);
  std::string text = kRunFile;
  text += "until = { observable = \"chi2\", relative_error = 0.1 }\n";
  directory_.write_run_file(text);
  const RunSpec run = load_run_text(text, "run.toml");
  Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
  EXPECT_EQ(chain_end(store, run), 12u);
  store.append({EventRecord{8, "the length was chosen by the data: the relative error of chi2 reached 0.1"}});
  EXPECT_EQ(chain_end(store, run), 8u);
  const auto status = offline_status(store, run);
  EXPECT_EQ(status.state(), v1::StatusReply::STATE_COMPLETE);
  EXPECT_EQ(status.length(), 8u);
  EXPECT_THAT(status.notes(1), HasSubstr("data chose the length"));
}

TEST_F(Offline, AChainThatItsDataStoppedIsCompleteWhateverWasDecidedSince) {
  make_chain(2);
  std::string text = kRunFile;
  text += "until = { observable = \"chi2\", relative_error = 0.1 }\n";
  const RunSpec run = load_run_text(text, "run.toml");
  Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
  store.append({until_event(*run.chain.until, 8)});
  for (int start = 0; start < 40; ++start) store.append({decision_event("train.batch", 8)});
  EXPECT_EQ(chain_end(store, run), 8u);
}

TEST_F(Offline, StatusFromASnapshotOnIsThatOfTheWholeLog) {
  make_chain(2);
  const RunSpec run = load_run_text(kRunFile, "run.toml");
  Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
  const std::string whole = offline_status(store, run).SerializeAsString();
  LogState half(run);
  store.for_each(1, [&](const LinkedRecord& linked) {
    half.add(linked.record);
    return true;
  });
  store.write({.snapshot = half.save()});
  ASSERT_EQ(saved_state(store, run).sequence, store.size());
  EXPECT_EQ(offline_status(store, run).SerializeAsString(), whole);
  store.append({EventRecord{8, "something"}});
  EXPECT_EQ(offline_status(store, run).proposals(), 8u);
}

TEST_F(Offline, SamplesAreOneLineAStep) {
  make_chain(3);
  std::istringstream out(flowloom_command({"samples", where()}).out);
  std::string line;
  std::getline(out, line);
  EXPECT_EQ(line,
            "index,state,version,accepted,log_p,log_q,hopping_sum,phi2_sum,phi4_sum,phi_sum,chi2,abs_m,m,m2,phi2,"
            "phi4,hopping,action");
  std::getline(out, line);
  EXPECT_THAT(line,
              StartsWith("0,0,1,1,0,1,0,"));  // the first valid proposal is the start; sin 0, cos 0, sin 0
  std::size_t lines = 1;
  while (std::getline(out, line)) ++lines;
  EXPECT_EQ(lines, 12u);
}

TEST_F(Offline, SamplesReadBackToTheLoggedNumbers) {
  make_chain(1);
  const std::string line = flowloom_command({"samples", where(), "--proposals", "--from", "3", "--no-header"}).out;
  std::istringstream cells(line);
  std::vector<std::string> numbers;
  for (std::string cell; std::getline(cells, cell, ',');) numbers.push_back(cell);
  ASSERT_THAT(numbers, SizeIs(18));
  EXPECT_EQ(std::stod(numbers[4]), std::sin(7 * (0.1 * 3)));
  const double phi_sum = std::sin(15.0);  // sums are [sum][proposal]: the fourth sum of the fourth proposal
  EXPECT_EQ(std::stod(numbers[9]), phi_sum);
  EXPECT_DOUBLE_EQ(std::stod(numbers[10]), phi_sum * phi_sum / 4);  // chi2 = V M^2
  EXPECT_EQ(std::stod(numbers[17]), -std::stod(numbers[4]));        // action
}

TEST_F(Offline, SamplesWriteNanAsNanInCsvAndAsNullInJson) {
  make_chain(2);
  EXPECT_THAT(flowloom_command({"samples", where(), "--proposals", "--from", "6", "--count", "1", "--no-header"}).out,
              MatchesRegex("6,[0-5],1,0,nan,(.|\n)*"));
  const std::string line =
      flowloom_command({"samples", where(), "--proposals", "--from", "6", "--count", "1", "--format", "jsonl"}).out;
  EXPECT_THAT(line,
              AllOf(HasSubstr("\"version\":1,\"accepted\":false,\"log_p\":null,"), HasSubstr("\"action\":null}\n")));
  EXPECT_EQ(nlohmann::json::parse(line).size(), 18u);
}

TEST_F(Offline, AColumnOfTheSamplesHasTheMeanOfTheAnalysis) {
  make_chain(3);
  const auto analysis = analyse(*open_source(where()), 0);
  std::istringstream out(flowloom_command({"samples", where(), "--format", "jsonl"}).out);
  for (const auto& row : analysis.rows) {
    out.clear();
    out.seekg(0);
    double sum = 0;
    for (std::string line; std::getline(out, line);)
      sum += nlohmann::json::parse(line).at(row.quantity.name).get<double>();
    EXPECT_NEAR(sum / 12, row.estimate.value, 1e-12) << row.quantity.name;
  }
}

TEST_F(Offline, SamplesFromTheMiddleAreTheEndOfAllSamples) {
  make_chain(12);
  const std::string all = flowloom_command({"samples", where()}).out;
  for (int from = 0; from < 48; ++from) {
    const std::string end = flowloom_command({"samples", where(), "--no-header", "--from", std::to_string(from)}).out;
    EXPECT_TRUE(all.ends_with(end)) << "from " << from;
    EXPECT_EQ(std::count(end.begin(), end.end(), '\n'), 48 - from);
  }
}

TEST_F(Offline, SamplesTakeARangeAcrossUnits) {
  make_chain(3);
  std::istringstream out(
      flowloom_command({"samples", where(), "--from", "3", "--count", "6", "--format", "jsonl"}).out);
  std::vector<int> indices;
  for (std::string line; std::getline(out, line);) indices.push_back(nlohmann::json::parse(line).at("index"));
  EXPECT_EQ(indices, (std::vector<int>{3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(flowloom_command({"samples", where(), "--from", "12", "--no-header"}).out, "");
  EXPECT_EQ(flowloom_command({"samples", where(), "--count", "0", "--no-header"}).out, "");
}

TEST_F(Offline, SamplesEndWhenNobodyReadsThem) {
  make_chain(3);
  const auto source = open_source(where());
  std::size_t units = 0;
  source->units(0, false, {}, [&](const UnitRecord&) { return ++units < 2; });
  EXPECT_EQ(units, 2u);
}

TEST_F(Offline, DigestIsTheHeadAlone) {
  make_chain(3);
  const std::string out = flowloom_command({"digest", where()}).out;
  EXPECT_EQ(out, to_hex(Store::open(directory_.store(), Store::Mode::kReadOnly).head()) + "\n");
}

TEST_F(Offline, ModelsSayWhereEachServes) {
  make_chain(1);
  EXPECT_THAT(flowloom_command({"models", where()}).out,
              AllOf(HasSubstr("step 5000"), HasSubstr("ESS 0.5"), HasSubstr("from proposal 0"), HasSubstr("1.00 kB"),
                    HasSubstr(to_hex(sha256(kCheckpoint)).substr(0, 12) + "…")));
  const auto json = nlohmann::json::parse(flowloom_command({"models", where(), "--json"}).out);
  EXPECT_EQ(json.at("versions").at(0).at("origin"), "trained");
  EXPECT_EQ(json.at("switches").at(0).at("from"), 0);
}

TEST_F(Offline, TrainingIsTheRecordAsCsvAndJsonLines) {
  make_chain(1);
  {
    Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
    v1::TrainingPoint point;
    point.set_ess(std::nan(""));
    point.set_ess_from_target(std::nan(""));
    for (const std::int64_t step : {10, 20}) {
      point.set_step(step);
      point.set_loss(-1.0 / 3);
      if (step == 20) point.set_ess(0.5);
      store.add_training("one", {point});
    }
  }
  const std::string csv = flowloom_command({"training", where()}).out;
  EXPECT_TRUE(
      csv.starts_with("step,seconds,core_seconds,samples,loss,batch_ess,ess,ess_from_target,gradient_norm,"
                      "learning_rate,batch,skipped\n10,0,0,0,-0.33333333333333331,0,nan,nan,0,0,0,0\n20,"))
      << csv;
  std::istringstream lines(flowloom_command({"training", where(), "--format", "jsonl", "--evaluations"}).out);
  std::string line, rest;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line).at("ess"), 0.5);
  EXPECT_TRUE(nlohmann::json::parse(line).at("ess_from_target").is_null());
  EXPECT_FALSE(std::getline(lines, rest));
}

TEST_F(Offline, VerifyTellsWhatItChecked) {
  make_chain(3);
  const Outcome outcome = flowloom_command({"verify", where()});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("records    4"), HasSubstr("proposals  12"), HasSubstr("1 invalid"),
                                 HasSubstr("digest")));
}

TEST_F(Offline, VerifyNamesAFault) {
  make_chain(2);
  {
    Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
    store.append(
        {UnitRecord{{8, 2, {0, 0, 0, 0}, {0, 0, 0, 0}, std::vector<double>(16)}, {0, 0, 0, 0}}});  // another version
  }
  const Outcome outcome = flowloom_command({"verify", where()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("FAULT: Record 4"), HasSubstr("good up to proposal 8")));
  EXPECT_EQ(nlohmann::json::parse(flowloom_command({"verify", where(), "--json"}).out).at("good"), false);
}

TEST_F(Offline, VerifyFindsACheckpointThatIsDamagedOrGone) {
  make_chain(3);
  const auto expect_fault = [&] {
    const Outcome outcome = flowloom_command({"verify", where()});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("FAULT: '" + directory_.model(1).string()), HasSubstr("version 1"),
                                   HasSubstr("good up to proposal 12")));
  };
  write_file_atomically(directory_.model(1), std::string(kCheckpoint) + " ");
  expect_fault();
  std::filesystem::remove(directory_.model(1));
  expect_fault();
}

TEST_F(Offline, VerifyKnowsAHeadThatWasRememberedAndMissesOneThatTheLogHasLost) {
  make_chain(2);
  const auto digest = [&] { return flowloom_command({"digest", where()}).out.substr(0, 64); };
  const std::string earlier = digest();
  EXPECT_THAT(flowloom_command({"verify", where(), "--head", earlier}).out, HasSubstr("--head     the digest"));
  {
    Store store = Store::open(directory_.store(), Store::Mode::kReadWrite);
    store.append({EventRecord{8, "something"}});
  }
  EXPECT_THAT(flowloom_command({"verify", where(), "--head", earlier}).out, HasSubstr("the link of record 3"));
  const std::string later = digest();
  std::filesystem::remove(directory_.store());
  make_chain(2);  // a backup
  EXPECT_EQ(flowloom_command({"verify", where()}).code, 0);
  const Outcome outcome = flowloom_command({"verify", where(), "--head", later});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("FAULT: No record of this log has the link " + later), HasSubstr("cut off")));
  EXPECT_THAT(refusal({"verify", where(), "--head", "abc"}), HasSubstr("--head"));
}

TEST_F(Offline, ChainAloneIsToldWhatItLacks) {
  make_chain(3);
  std::filesystem::remove(directory_.run_file());
  EXPECT_THAT(refusal({"verify", where()}), AllOf(HasSubstr("run.toml"), HasSubstr("models/")));
}

TEST_F(Offline, UpOnACompleteRunOnlyPrintsItsResult) {
  make_chain(3);
  const auto run_file = (folder_ / "run.toml").string();
  const Outcome outcome = flowloom_command({"up", run_file, "--dir", where()});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(StartsWith("test: complete"), HasSubstr("χ₂"), HasSubstr("tau_acc"),
                                 HasSubstr("flowloom verify " + where())));
  EXPECT_FALSE(std::filesystem::exists(directory_.logs() / "coordinator.out"));
  const auto json =
      nlohmann::json::parse(flowloom_command({"up", run_file, "--dir", where(), "--json", "--burn-in", "2"}).out);
  EXPECT_EQ(json.at("burn_in"), 2);
  EXPECT_TRUE(json.at("proposals_per_second").is_null());
}

TEST_F(Offline, UpRefusesABurnInThatLeavesNothing) {
  make_chain(3);
  EXPECT_THAT(refusal({"up", (folder_ / "run.toml").string(), "--dir", where(), "--burn-in", "12"}),
              HasSubstr("leaves nothing"));
}

TEST_F(Offline, UpChecksTheRunFileBeforeItTouchesAnything) {
  ErrorCode code{};
  const auto fresh = folder_ / "fresh";
  EXPECT_THAT(
      refusal({"up", (folder_ / "run.toml").string(), "--dir", fresh.string(), "--set", "chain.lenth=3"}, &code),
      HasSubstr("did you mean 'length'"));
  EXPECT_EQ(exit_code(code), 2);
  EXPECT_FALSE(std::filesystem::exists(fresh));
}

TEST_F(Offline, AStoreThatIsHeldWithoutAnAnswerIsSaidToBe) {
  make_chain(1);
  Store holder = Store::open(directory_.store(), Store::Mode::kReadWrite);
  holder.begin_epoch();
  ErrorCode code{};
  EXPECT_THAT(refusal({"status", where()}, &code), HasSubstr("held by another process, but no coordinator answers"));
  EXPECT_EQ(code, ErrorCode::kInUse);
}

TEST_F(Offline, AnAnnouncementThatOutlivedItsCoordinatorIsNoHindrance) {
  make_chain(1);
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  directory_.write_owner({"127.0.0.1:1", host, 0x7ffffffe, 1});  // above any process id
  EXPECT_EQ(flowloom_command({"digest", where()}).code, 0);
}

TEST_F(Offline, AnotherHostsLoopbackIsNotAsked) {
  make_chain(1);
  directory_.write_owner({"127.0.0.1:1", "another-host", 1, 1});
  EXPECT_THAT(refusal({"status", where()}), HasSubstr("another host's loopback"));
}

}  // namespace
}  // namespace flowloom
