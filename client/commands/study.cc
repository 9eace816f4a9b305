// flowloom study: a grid of trainings, compared.
#include "client/commands/commands.h"
#include "client/study_runner.h"

namespace flowloom {

void add_study(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("study", "Train every cell of a grid and compare them in a table and a plot");
  auto options = std::make_shared<StudyOptions>();
  command->add_option("study", options->study_file, "The study file")->required()->type_name("STUDY.toml");
  command->add_option("--dir", options->directory, "The study's directory (default: studies/<study.name>)")
      ->type_name("DIR");
  command->add_flag("--quiet", options->quiet, "No progress");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return run_study(*options, console); }; });
}

}  // namespace flowloom
