// A study: a grid of trainings, each given by the same run file and other settings.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "spec/schema.h"

namespace flowloom {

// Trainings that differ in this key alone are repetitions of one.
inline constexpr char kSeedKey[] = "run.seed";

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
  std::string across;                     // a key whose values are columns of the table; may be empty
  std::vector<StudyCell> cells;           // a cell comes after the one it follows
};

// The keys of [study].
const std::vector<Key>& study_keys();

// Reads a study file and every cell's run file; a mistake throws `kInvalidInput` before anything is started.
Study load_study(const std::filesystem::path& file);

}  // namespace flowloom
