// A study: a grid of trainings, each in a directory of its own, compared in a table and a plot.
//
//   STUDY/<cell>/         the run directory of one training, as `flowloom train` makes it
//   STUDY/<cell>/trained  written when it has ended: what it was asked for
//   STUDY/table.csv       one row a training
//   STUDY/record.csv      one row an evaluation
//   STUDY/plot.gp, plot.svg, plot.png   ESS against steps, samples and core-seconds
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "flowloom/v1/models.pb.h"

namespace flowloom {

// One training of a study.
struct StudyCell {
  std::string name;                                           // of its directory: "gradient=path,seed=1"
  std::vector<std::pair<std::string, std::string>> settings;  // what makes it differ: ("train.gradient", "path")
  std::vector<std::string> overrides;                         // all of `--set`, but for `train.start`
  std::size_t follows = kNothing;                             // the cell whose weights it starts from

  static constexpr std::size_t kNothing = static_cast<std::size_t>(-1);
};

struct Study {
  std::string name;
  std::filesystem::path run_file;
  std::size_t parallel = 1, threads = 0;  // threads 0: the cores, shared out
  bool keep_optimiser = false;            // where a cell follows another
  std::vector<StudyCell> cells;           // a cell comes after the one it follows
};

// Reads a study file and every cell's run file; a mistake throws `kInvalidInput` before anything is started.
Study load_study(const std::filesystem::path& file);

struct StudyOptions {
  std::filesystem::path study_file;
  std::filesystem::path directory;  // empty: studies/<name>
  bool quiet = false;
};

// Runs what has not been run, then writes and prints the table. 0: all trained; 1: some failed; 130: interrupted.
int run_study(const StudyOptions& options, const Console& console);

// One training and its record.
struct StudyResult {
  StudyCell cell;
  std::vector<v1::TrainingPoint> record;
};
std::string study_table(const std::vector<StudyResult>& results);   // CSV
std::string study_record(const std::vector<StudyResult>& results);  // CSV

// Rows for people: runs that differ in nothing but `run.seed` are one, with the mean and its standard error.
std::vector<std::string> study_lines(const std::vector<StudyResult>& results);

}  // namespace flowloom
