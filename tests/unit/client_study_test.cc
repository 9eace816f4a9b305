#include "client/study_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "spec/error.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kRun[] =
    "[run]\nname = \"r\"\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4\nlambda = 8\n"
    "[flow]\nkind = \"affine-coupling\"\n[chain]\nlength = 100\n";

class StudyFile : public testing::Test {
 protected:
  StudyFile() { write_file_atomically(directory_.path() / "run.toml", kRun); }

  Study load(const std::string& text) {
    write_file_atomically(directory_.path() / "study.toml", "[study]\nname = \"s\"\nrun = \"run.toml\"\n" + text);
    return load_study(directory_.path() / "study.toml");
  }
  std::string refusal(const std::string& text) {
    try {
      load(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
      return error.what();
    }
    return "";
  }
  static std::vector<std::string> names(const Study& study) {
    std::vector<std::string> names;
    for (const StudyCell& cell : study.cells) names.push_back(cell.name);
    return names;
  }

  TemporaryDirectory directory_;
};

TEST_F(StudyFile, IsEveryCombinationOfItsValues) {
  const Study study = load(
      "set = [\"train.batch=64\"]\nvary = [{ key = \"train.gradient\", values = [\"path\", \"reparameterised\"] },\n"
      "{ key = \"flow.hidden\", values = [[4], [8, 8]] }]\n");
  EXPECT_THAT(names(study), ElementsAre("gradient=path,hidden=4", "gradient=path,hidden=8_8",
                                        "gradient=reparameterised,hidden=4", "gradient=reparameterised,hidden=8_8"));
  EXPECT_THAT(study.cells[1].overrides, ElementsAre("train.batch=64", "train.gradient=path", "flow.hidden=[8, 8]"));
  EXPECT_EQ(study.cells[1].follows, StudyCell::kNothing);
}

TEST_F(StudyFile, ValuesMayBeAnything) {
  const Study study = load(
      "vary = [{ key = \"train.stop\", values = [{ steps = 40, ess = 0.04 }, \"{ steps = 20 }\"] },\n"
      "{ key = \"train.learning_rate\", values = [0.04] }]\n");
  EXPECT_THAT(study.cells[0].overrides,
              ElementsAre("train.stop={ ess = 0.04, steps = 40 }", "train.learning_rate=0.04"));
  EXPECT_EQ(study.cells[1].name, "stop=steps=20,learning_rate=0.04");
  EXPECT_NE(refusal("vary = [{ key = \"train.batch\", values = [nan] }]\n"), "");
}

TEST_F(StudyFile, CasesSetSeveralKeysAtOnce) {
  const Study study = load(
      "cases = [{ name = \"rate\", set = [\"train.milestones={ every = 10, rate_factor = 0.5 }\", \"train.warmup=3\"] "
      "},\n"
      "{ name = \"batch\", set = [\"train.milestones={ every = 10, batch_factor = 2 }\"] }]\n"
      "vary = [{ key = \"run.seed\", values = [1, 2] }]\n");
  EXPECT_THAT(names(study), ElementsAre("rate,seed=1", "rate,seed=2", "batch,seed=1", "batch,seed=2"));
  EXPECT_THAT(study.cells[3].overrides, ElementsAre("train.milestones={ every = 10, batch_factor = 2 }", "run.seed=2"));
}

TEST_F(StudyFile, InASequenceEachTrainingFollowsTheOneBefore) {
  const Study study = load(
      "vary = [{ key = \"run.seed\", values = [1, 2] }]\nsequence = { key = \"theory.lambda\", values = [8.0, 7.5, "
      "7.0], "
      "set = [\"train.learning_rate=1e-4\"] }\n");
  ASSERT_EQ(study.cells.size(), 6u);
  EXPECT_TRUE(study.keep_optimiser);
  const std::size_t follows[] = {StudyCell::kNothing, 0, 1, StudyCell::kNothing, 3, 4};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(study.cells[i].follows, follows[i]) << i;
  EXPECT_THAT(study.cells[3].overrides, ElementsAre("run.seed=2", "theory.lambda=8.0"));
  EXPECT_THAT(study.cells[4].overrides, ElementsAre("run.seed=2", "theory.lambda=7.5", "train.learning_rate=1e-4"));
}

TEST_F(StudyFile, ASequenceIsComparedWithTrainingFromRandomWeights) {
  const Study study = load(
      "sequence = { key = \"theory.lambda\", values = [8.0, 7.0, 6.0], set = [\"train.learning_rate=1e-4\"], "
      "optimiser = \"drop\", compare = true }\n");
  EXPECT_THAT(names(study),
              ElementsAre("lambda=8.0,start=random", "lambda=7.0,start=random", "lambda=7.0,start=previous",
                          "lambda=6.0,start=random", "lambda=6.0,start=previous"));
  const std::size_t nothing = StudyCell::kNothing, follows[] = {nothing, nothing, 0, nothing, 2};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(study.cells[i].follows, follows[i]) << i;
  EXPECT_FALSE(study.keep_optimiser);
  EXPECT_THAT(study.cells[3].overrides, ElementsAre("theory.lambda=6.0"));
  EXPECT_THAT(study.cells[4].overrides, ElementsAre("theory.lambda=6.0", "train.learning_rate=1e-4"));
  EXPECT_THAT(study.cells[4].settings.back(), testing::Pair("start", "previous"));
}

TEST_F(StudyFile, WhatCannotBeTrainedIsRefusedBeforeAnythingIsStarted) {
  EXPECT_THAT(refusal("vary = [{ key = \"train.gradient\", values = [\"path\", \"oath\"] }]\n"),
              testing::AllOf(HasSubstr("training 'gradient=oath'"), HasSubstr("train.gradient")));
  EXPECT_THAT(refusal("vary = [{ key = \"run.seed\", values = [1, 1] }]\n"),
              HasSubstr("two trainings have the name 'seed=1'"));
  EXPECT_THAT(refusal("vary = [{ key = \"run.seed\", values = [1] }, { key = \"run.seed\", values = [2] }]\n"),
              HasSubstr("'run.seed' is varied twice"));
  EXPECT_THAT(refusal("sequence = { key = \"run.seed\", values = [1, 2] }\n"), HasSubstr("independent trainings"));
  EXPECT_THAT(refusal("vary = [{ key = \"run.seed\", values = [] }]\n"),
              HasSubstr("has 0 elements; it takes 1 to 1000"));
  EXPECT_THAT(refusal("across = \"train.batch\"\n"), HasSubstr("'train.batch' is not varied here"));
  EXPECT_THAT(refusal("vari = []\n"), HasSubstr("did you mean 'vary'"));
}

v1::TrainingPoint point(std::int64_t step, double ess) {
  v1::TrainingPoint made;
  made.set_step(step);
  made.set_samples(100 * step);
  made.set_core_seconds(0.5 * static_cast<double>(step));
  made.set_ess(ess);
  made.set_ess_from_target(std::nan(""));
  return made;
}

std::vector<StudyResult> results() {
  const auto cell = [](const std::string& gradient, const std::string& seed) {
    StudyCell made;
    made.name = "gradient=" + gradient + ",seed=" + seed;
    made.settings = {{"train.gradient", gradient}, {"run.seed", seed}};
    return made;
  };
  return {{cell("path", "1"), {point(5, std::nan("")), point(10, 0.3), point(20, 0.6), point(25, std::nan(""))}},
          {cell("path", "2"), {point(10, 0.1), point(20, 0.4)}},
          {cell("other", "1"), {point(10, 0.1)}}};
}

TEST(StudyTable, HasARowForEachTrainingAndSaysWhenAnEssWasReached) {
  EXPECT_EQ(
      study_table(results()),
      "training,train.gradient,run.seed,steps,samples,seconds,core_seconds,ess,ess_from_target,skipped,core_seconds_to_"
      "0.3,"
      "samples_to_0.3,steps_to_0.3,core_seconds_to_0.5,samples_to_0.5,steps_to_0.5,core_seconds_to_0.7,samples_to_0.7,"
      "steps_to_0.7\n"
      "\"gradient=path,seed=1\",path,1,20,2000,0,10,0.59999999999999998,nan,0,5,1000,10,10,2000,20,,,\n"
      "\"gradient=path,seed=2\",path,2,20,2000,0,10,0.40000000000000002,nan,0,10,2000,20,,,,,,\n"
      "\"gradient=other,seed=1\",other,1,10,1000,0,5,0.10000000000000001,nan,0,,,,,,,,,\n");
}

TEST(StudyTable, PutsSeedsTogetherWithAnErrorForPeople) {
  const auto lines = study_lines(results());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[1], testing::AllOf(HasSubstr("gradient = path"), HasSubstr("0.50(10)"), HasSubstr("10 in 1")));
  EXPECT_THAT(lines[2], testing::AllOf(HasSubstr("gradient = other"), HasSubstr(" 0.1 ")));
}

TEST(StudyTable, ATrainingThatFailedHasARowWithoutFigures) {
  auto all = results();
  all.push_back({all.front().cell, {}});
  all.back().cell.name = "gradient=path,seed=3";
  EXPECT_THAT(study_table(all), HasSubstr("\n\"gradient=path,seed=3\",path,1,,,,,,,,,,,,,,,,\n"));
  EXPECT_THAT(study_lines(all)[1], testing::AllOf(HasSubstr("   3 "), HasSubstr("0.50(10) in 2")));
  EXPECT_EQ(study_plot(all).data, study_plot(results()).data);
}

TEST(StudyTable, ForDocumentsIsMarkdown) {
  const std::string text = study_markdown(results());
  EXPECT_TRUE(text.starts_with("|  | runs | ESS | k samples | core-s | core-s to 0.3 ")) << text;
  EXPECT_THAT(text, HasSubstr("\n| --- | ---: |"));
  EXPECT_THAT(text, HasSubstr("\n| gradient = path | 2 | 0.50(10) | 2 | 10 | 7.5(2.5) | 10 in 1 | – | 2 in 1 |\n"));
}

TEST(StudyTable, SeedsThatAgreeHaveNoError) {
  std::vector<StudyResult> all;
  for (const char* seed : {"1", "2", "3"}) {
    all.push_back({{seed, {{"run.seed", seed}}, {}, StudyCell::kNothing}, {point(10, 0.6)}});
    all.back().record.back().set_samples(57600);
  }
  EXPECT_THAT(study_markdown(all), HasSubstr("\n| all | 3 | 0.6 | 57.6 | 5 | 5 | 5 | – | 57.6 |\n"));
}

TEST(StudyTable, AcrossAKeyEachValueHasColumnsAndAPanel) {
  auto all = results();
  for (StudyResult& result : all) result.cell.settings.emplace_back("theory.lattice", "[4, 4]");
  all.push_back(all.front());
  all.back().cell.settings.back().second = "[8, 8]";
  const std::string text = study_markdown(all, "theory.lattice");
  EXPECT_TRUE(text.starts_with("| lattice = | [4, 4] ESS | core-s | to 0.5 | [8, 8] ESS | core-s | to 0.5 |\n"))
      << text;
  EXPECT_THAT(text, HasSubstr("\n| gradient = path | 0.50(10) | 10 | 10 in 1 | 0.6 | 10 | 10 |\n"));
  EXPECT_THAT(text, HasSubstr("\n| gradient = other | 0.1 | 5 | – | – | – | – |\n"));
  const StudyPlot plot = study_plot(all, "theory.lattice");
  EXPECT_EQ(std::count(plot.data.begin(), plot.data.end(), '\n'), 2 + 2 + 2 + 2 + 1 + 2);
  EXPECT_THAT(plot.script, testing::AllOf(HasSubstr("layout 1,2 "), HasSubstr("'[4, 4]'"), HasSubstr("'[8, 8]'"),
                                          HasSubstr("data index 2 "), HasSubstr("keyentry with lines linetype 2 ")));
}

TEST(StudyTable, APlotHasTheMeanOfSeedsWhereAllWereEvaluated) {
  const StudyPlot plot = study_plot(results());
  EXPECT_EQ(plot.data,
            "10 1000 5 0.20000000000000001 0.099999999999999992\n20 2000 10 0.5 0.099999999999999978\n\n\n"
            "10 1000 5 0.10000000000000001 0\n\n\n");
  EXPECT_THAT(plot.script, testing::AllOf(HasSubstr("'gradient = path'"), HasSubstr("'gradient = other'")));
}

TEST(StudyTable, TheRecordHasEveryEvaluation) {
  const std::string record = study_record(results());
  EXPECT_EQ(std::count(record.begin(), record.end(), '\n'), 1 + 2 + 2 + 1);
}

}  // namespace
}  // namespace flowloom
