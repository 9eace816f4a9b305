// flowloom up: a whole run on this machine.
#include "client/commands/commands.h"
#include "client/up_session.h"
#include "flow/engine.h"

namespace flowloom {

void add_up(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("up", "Run everything on this machine: train, sample, and show the result");
  auto options = std::make_shared<UpOptions>();
  command->add_option("run", options->run_file, "The run file")->required()->type_name("RUN.toml");
  command->add_option("--dir", options->directory, "The run directory (default: runs/<run.name>)")->type_name("DIR");
  command->add_option("--workers", options->workers, "Worker processes")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--device", options->device, kDeviceHelp)->check(device_refusal)->capture_default_str();
  command->add_option("--set", options->overrides, "Override a key")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--burn-in", options->burn_in, "Chain steps that the final table leaves out")
      ->capture_default_str();
  command->add_option("--log-level", options->log_level, "Of all programs' logs")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  command->add_flag("--accept-rollback", options->accept_rollback,
                    "Go on although a program that lived on has seen a later state, of this run or of a lost one");
  command->add_flag("--json", options->json, "The result as one JSON object; progress goes to standard error");
  command->add_flag("--quiet", options->quiet, "No progress");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return up(*options, console); }; });
}

}  // namespace flowloom
