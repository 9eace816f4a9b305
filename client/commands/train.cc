// flowloom train: a training without a chain.
#include "client/commands/commands.h"
#include "client/up_session.h"

namespace flowloom {

void add_train(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("train", "Train on this machine to the end, without a chain; 'up' goes on from there");
  auto options = std::make_shared<UpOptions>();
  options->training_only = true;
  command->add_option("run", options->run_file, "The run file")->required()->type_name("RUN.toml");
  command->add_option("--dir", options->directory, "The run directory (default: runs/<run.name>)")->type_name("DIR");
  command->add_option("--threads", options->threads, "Threads (default: all cores); the weights do not depend on it")
      ->check(CLI::Range(1, 1024));
  command->add_option("--set", options->overrides, "Override a key")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--log-level", options->log_level, "Of all programs' logs")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "The result as one JSON object; progress goes to standard error");
  command->add_flag("--die-with-parent", options->die_with_parent, "End when the process that started this one ends");
  command->add_flag("--quiet", options->quiet, "No progress");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return up(*options, console); }; });
}

}  // namespace flowloom
