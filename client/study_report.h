// What a study has found, as tables and as a plot.
#pragma once

#include <string>
#include <vector>

#include "client/study.h"
#include "flowloom/v1/models.pb.h"

namespace flowloom {

// One training and its record.
struct StudyResult {
  StudyCell cell;
  std::vector<v1::TrainingPoint> record;
};

std::string study_table(const std::vector<StudyResult>& results);   // CSV: a row for each training
std::string study_record(const std::vector<StudyResult>& results);  // CSV: a row for each evaluation

// Rows for people: runs that differ in nothing but `run.seed` are one, with the mean and its standard error. Of a key
// `across` each value has columns instead of rows, fewer of them.
std::vector<std::string> study_lines(const std::vector<StudyResult>& results, const std::string& across = "");
// The same as a table for documents.
std::string study_markdown(const std::vector<StudyResult>& results, const std::string& across = "");

// ESS against steps, samples and core-seconds, as means over runs that differ in the seed with their standard errors:
// what gnuplot needs to draw plot.svg and plot.png. Of a key `across` each value has a panel, against core-seconds.
struct StudyPlot {
  std::string data;    // plot.dat
  std::string script;  // plot.gp
};
StudyPlot study_plot(const std::vector<StudyResult>& results, const std::string& across = "");

}  // namespace flowloom
