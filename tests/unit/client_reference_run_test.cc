// `flowloom reference`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "client/reference_report.h"
#include "client_cases.h"
#include "spec/error.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Reference : public testing::Test {
 protected:
  void SetUp() override { write_file_atomically(u1_, kU1); }

  static std::string phi4_file(const TemporaryDirectory& folder) {
    const auto file = folder.path() / "phi4.toml";
    write_file_atomically(file, kRunFile);
    return file.string();
  }

  static constexpr char kU1[] = R"(
    [run]
    name = "u1"
    [theory]
    kind = "u1"
    lattice = [4, 4]
    beta = 2.0
    [flow]
    kind = "gauge-coupling"
    [chain]
    length = 10
  )";

  TemporaryDirectory folder_;
  const std::string phi4_ = phi4_file(folder_);
  const std::string u1_ = (folder_.path() / "u1.toml").string();
};

// value, error and deviation of each observable.
std::map<std::string, nlohmann::json> rows_of(const nlohmann::json& json) {
  std::map<std::string, nlohmann::json> rows;
  for (const auto& row : json.at("observables")) rows[row.at("name")] = row;
  return rows;
}

nlohmann::json json_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "reference");
  arguments.push_back("--json");
  return nlohmann::json::parse(flowloom_command(arguments).out);
}

TEST_F(Reference, PrintsATableOfAllObservablesAndHowItGotThem) {
  const Outcome outcome = flowloom_command({"reference", phi4_, "--sweeps", "300", "--thermalise", "250"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("test without a flow: complete"), HasSubstr("value(error)"),
                                 HasSubstr("tau_int"), HasSubstr("chi2"), HasSubstr("action"), HasSubstr("exact")));
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("HMC, 2MN"), HasSubstr("acceptance   0."), HasSubstr("sweeps       300, "),
                    HasSubstr("thermalised  250 sweeps before them, discarded"), HasSubstr("seed         1")));
  EXPECT_EQ(outcome.err, "");  // no progress where there is no terminal
}

// Schwinger and Dyson: 2 <S> + 2 lambda V <phi^4> = V. False alarms: 6e-5 with another seed.
TEST_F(Reference, Phi4KeepsItsIdentity) {
  const auto rows = rows_of(json_of({phi4_, "--set", "theory.lattice=[4, 4]", "--sweeps", "20000"}));
  const double error =
      2 * rows.at("action").at("error").get<double>() + 256 * rows.at("phi4").at("error").get<double>();
  const double value =
      2 * rows.at("action").at("value").get<double>() + 256 * rows.at("phi4").at("value").get<double>();
  EXPECT_LT(error, 1);
  EXPECT_NEAR(value, 16, 4 * error);
  EXPECT_LT(std::abs(rows.at("m").at("deviation").get<double>()), 4);
}

// 8 numbers by two algorithms, each off by at most 4 errors. False alarms: 1e-3 with another seed.
TEST_F(Reference, U1HasItsExactValues) {
  for (const std::string algorithm : {"heatbath", "hmc"}) {
    const auto rows = rows_of(json_of({u1_, "--algorithm", algorithm, "--sweeps", "10000"}));
    int exact = 0;
    for (const auto& [name, row] : rows) {
      if (!row.contains("exact")) continue;
      ++exact;
      EXPECT_LT(std::abs(row.at("deviation").get<double>()), 4) << algorithm << " " << name;
    }
    EXPECT_EQ(exact, 8);
    EXPECT_LT(rows.at("plaquette").at("error").get<double>(), 0.01);
  }
}

TEST_F(Reference, IsAFunctionOfTheRunsIdentityTheAlgorithmAndTheSeed) {
  const auto chi_q = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {u1_, "--sweeps", "200"});
    return rows_of(json_of(more)).at("plaquette").at("value").get<double>();
  };
  const double once = chi_q({});
  EXPECT_EQ(chi_q({}), once);
  EXPECT_EQ(chi_q({"--algorithm", "heatbath", "--seed", "1"}), once);
  EXPECT_EQ(chi_q({"--set", "chain.length=20"}), once);  // policy
  EXPECT_NE(chi_q({"--seed", "2"}), once);
  EXPECT_NE(chi_q({"--algorithm", "hmc"}), once);
  EXPECT_NE(chi_q({"--set", "run.seed=9"}), once);
  EXPECT_NE(chi_q({"--set", "theory.beta=2.1"}), once);
  EXPECT_NE(chi_q({"--thermalise", "21"}), once);
}

TEST_F(Reference, ItsFileHasWhatTheTableIsOf) {
  const auto file = folder_.path() / "sweeps.csv";
  const auto json = json_of({u1_, "--sweeps", "50", "--output", file.string()});
  std::istringstream csv(read_file(file));
  std::string line;
  ASSERT_TRUE(std::getline(csv, line));
  EXPECT_THAT(line, testing::StartsWith("sweep,plaquette,chi_q,charge,"));
  double sum = 0;
  int sweeps = 0;
  for (; std::getline(csv, line); ++sweeps) {
    EXPECT_THAT(line, testing::StartsWith(std::to_string(sweeps) + ","));
    sum += std::stod(line.substr(line.find(',') + 1));
  }
  EXPECT_EQ(sweeps, 50);
  EXPECT_NEAR(sum / 50, rows_of(json).at("plaquette").at("value").get<double>(), 1e-14);
}

TEST_F(Reference, MeasuresWhatTakesAConfigurationOnRequest) {
  const std::vector<std::string> run{phi4_, "--set", "theory.lattice=[4, 4]", "--sweeps", "50"};
  EXPECT_FALSE(rows_of(json_of(run)).contains("correlator_0"));
  std::vector<std::string> with = run;
  with.push_back("--measure");
  const auto rows = rows_of(json_of(with));
  const auto value = [&](const std::string& name) { return rows.at(name).at("value").get<double>(); };
  EXPECT_NEAR(value("correlator_0") + 2 * value("correlator_1") + value("correlator_2"), value("chi2"), 1e-12);
}

TEST_F(Reference, RefusesWhatItCannotDo) {
  ErrorCode code{};
  EXPECT_EQ(refusal({"reference", phi4_, "--algorithm", "heatbath"}, &code),
            "This theory has no reference by 'heatbath'; it has hmc.");
  EXPECT_EQ(exit_code(code), 2);
  EXPECT_THAT(refusal({"reference", phi4_, "--sweeps", "1"}), HasSubstr("--sweeps"));
  EXPECT_THAT(refusal({"reference", phi4_, "--thermalise", "-1"}), HasSubstr("--thermalise"));
  EXPECT_THAT(refusal({"reference", phi4_, "--set", "theory.lambda=-1.0"}), HasSubstr("lambda"));
  EXPECT_THAT(refusal({"reference"}), AllOf(HasSubstr("run"), HasSubstr("'flowloom reference --help'")));
  EXPECT_THAT(refusal({"reference", phi4_, "--output", (folder_.path() / "no" / "file.csv").string()}),
              HasSubstr("file.csv' cannot be written (--output)"));
}

ReferenceReport report_of(std::uint64_t sweeps) {
  return {.name = "phi4\x1b[2J",
          .algorithm = "HMC",
          .acceptance = 0.9,
          .sweeps = sweeps,
          .wanted = 1000,
          .thermalised = 100,
          .seed = 3,
          .seconds = 2,
          .rows = {}};
}

std::string text_of(const ReferenceReport& report) {
  std::string text;
  for (const std::string& line : reference_lines(report)) text += line + "\n";
  return text;
}

TEST(ReferenceReport, SaysWhenItWasStoppedBeforeItsEnd) {
  EXPECT_THAT(text_of(report_of(500)),
              AllOf(HasSubstr("stopped after 500 of 1000 sweeps"), HasSubstr("500, 250 per second")));
  EXPECT_EQ(reference_json(report_of(500)).at("complete"), false);
  EXPECT_THAT(text_of(report_of(1000)), AllOf(HasSubstr("complete after 2 s"), Not(HasSubstr("stopped"))));
  EXPECT_EQ(reference_json(report_of(1000)).at("complete"), true);
}

TEST(ReferenceReport, LetsNoRunFileControlTheTerminal) {
  EXPECT_THAT(text_of(report_of(1000)), Not(HasSubstr("\x1b")));
  EXPECT_THAT(reference_progress("\x1b[2J", 1, 2, 1), Not(HasSubstr("\x1b")));
}

TEST(ReferenceReport, ProgressSaysHowLongItTakes) {
  EXPECT_THAT(reference_progress("u1", 250, 1000, 5),
              AllOf(HasSubstr("250 of 1000 sweeps"), HasSubstr("50 per second"), HasSubstr("ETA 15 s")));
}

}  // namespace
}  // namespace flowloom
