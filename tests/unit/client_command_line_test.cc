// The command line itself, and `flowloom check`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "client_cases.h"
#include "flow/catalog.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kGaugeFile[] = R"(
  [run]
  name = "u1"
  [theory]
  kind = "u1"
  lattice = [4, 4]
  beta = 1.0
  [flow]
  kind = "gauge-coupling"
  layers = 7
  [chain]
  length = 10
)";

class Check : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "flowloom_check_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    write_file_atomically(folder_ / "run.toml", kRunFile);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST(Places, AreAddressesOnlyIfTheyEndInAPort) {
  EXPECT_TRUE(is_address("127.0.0.1:4000"));
  EXPECT_TRUE(is_address("[::1]:4000"));
  EXPECT_FALSE(is_address("runs/a:1"));
  EXPECT_FALSE(is_address("runs"));
  EXPECT_FALSE(is_address(":4000"));
  EXPECT_FALSE(is_address("host:"));
  EXPECT_FALSE(is_address("host:4000x"));
}

TEST(CommandLine, WithoutACommandShowsItsHelp) {
  EXPECT_THAT(flowloom_command({}).out, AllOf(HasSubstr("check"), HasSubstr("up"), HasSubstr("verify")));
  EXPECT_THAT(flowloom_command({"--help"}).out, HasSubstr("samples"));
  EXPECT_THAT(flowloom_command({"up", "--help"}).out, HasSubstr("--burn-in"));
}

TEST(CommandLine, HasAVersion) {
  EXPECT_THAT(flowloom_command({"--version"}).out, testing::MatchesRegex("flowloom [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(CommandLine, ExplainsItsRefusals) {
  ErrorCode code{};
  EXPECT_THAT(refusal({"stauts"}, &code), HasSubstr("did you mean 'status'"));
  EXPECT_EQ(exit_code(code), 2);
  EXPECT_THAT(refusal({"status"}), AllOf(HasSubstr("directory"), HasSubstr("'flowloom status --help'")));
  EXPECT_THAT(refusal({"samples", "d", "--format", "xml"}), HasSubstr("csv"));
  EXPECT_THAT(refusal({"up", "run.toml", "--workers", "-1"}), HasSubstr("--workers"));
  EXPECT_THAT(refusal({"digest", "a", "b"}), HasSubstr("b"));
  EXPECT_THAT(refusal({"status", "/nowhere"}), HasSubstr("neither a run directory nor an address"));
  EXPECT_THAT(refusal({"check"}), HasSubstr("--keys"));
}

TEST_F(Check, CheckMarksDefaultsAndExplainsTheLength) {
  const auto file = (folder_ / "run.toml").string();
  const std::string text = flowloom_command({"check", file, "--set", "flow.layers=4"}).out;
  EXPECT_THAT(text, AllOf(HasSubstr("layers = 4"), HasSubstr("# (default) "), HasSubstr("12 proposals (10 rounded up"),
                          HasSubstr("from proposal 0: trained"), HasSubstr("# (not set) "), HasSubstr("parameters")));
  const auto resolved = nlohmann::json::parse(flowloom_command({"check", file, "--json"}).out);
  EXPECT_EQ(resolved.at("sections").at("run").at("unit").at("default"), false);
  EXPECT_EQ(resolved.at("sections").at("train").at("batch").at("default"), true);
  EXPECT_EQ(resolved.at("sections").at("train").at("stop").at("default"), true);
  EXPECT_EQ(resolved.at("proposals"), 12);
}

TEST_F(Check, CheckSaysThatSomeMasksHaveNoTurn) {
  const auto file = (folder_ / "run.toml").string();
  EXPECT_THAT(flowloom_command({"check", file, "--set", "flow.layers=1"}).out,
              HasSubstr("layers = 1 gives only 1 of 2 masks a turn"));
  EXPECT_THAT(flowloom_command({"check", file}).out, Not(HasSubstr("masks a turn")));
  write_file_atomically(folder_ / "u1.toml", kGaugeFile);
  const auto gauge = (folder_ / "u1.toml").string();
  EXPECT_THAT(flowloom_command({"check", gauge}).out, HasSubstr("layers = 7 gives only 7 of 8 masks a turn"));
  EXPECT_THAT(flowloom_command({"check", gauge, "--set", "flow.layers=8"}).out, Not(HasSubstr("masks a turn")));
}

TEST_F(Check, ALatticeWithTooFewDirectionsIsToldHowManyItTakes) {
  write_file_atomically(folder_ / "u1.toml", kGaugeFile);
  EXPECT_THAT(refusal({"check", (folder_ / "u1.toml").string(), "--set", "theory.lattice=[8]"}),
              HasSubstr("lattice=[8] has 1 element; it takes 2. "));
}

TEST_F(Check, CheckPrintsARunFileThatMeansTheSame) {
  const auto file = (folder_ / "run.toml").string();
  const std::string text = flowloom_command({"check", file}).out;
  EXPECT_EQ(load_run_text(text, "printed").identity(), load_run_text(kRunFile, "original").identity());
  EXPECT_THAT(policy_changes(load_run_text(kRunFile, "original"), load_run_text(text, "printed")), testing::IsEmpty());
}

}  // namespace
}  // namespace flowloom
