// Trains a study's cells and compares them.
//
//   STUDY/<cell>/         the run directory of one training, as `flowloom train` makes it
//   STUDY/<cell>/begun    what its predecessor was asked for, if it starts from one's weights
//   STUDY/<cell>/trained  written when it has ended: what it was asked for
//   STUDY/table.csv       one row a training
//   STUDY/table.md        what is printed, for documents
//   STUDY/record.csv      one row an evaluation
//   STUDY/plot.gp, plot.dat, plot.svg, plot.png   ESS against steps, samples and core-seconds
#pragma once

#include <filesystem>

#include "client/console.h"

namespace flowloom {

struct StudyOptions {
  std::filesystem::path study_file;
  std::filesystem::path directory;  // empty: studies/<name>
  bool quiet = false;
};

// Runs what has not been run, then writes and prints the table. 0: all trained; 1: some failed; 130: interrupted.
int run_study(const StudyOptions& options, const Console& console);

}  // namespace flowloom
