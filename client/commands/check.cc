// flowloom check: explains a run file, or prints the reference of all keys.
#include <ostream>

#include "client/commands/commands.h"
#include "client/reference.h"
#include "client/resolved.h"
#include "client/results.h"
#include "client/training_files.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct CheckOptions {
  std::string run_file;
  std::vector<std::string> overrides;
  bool json = false, keys = false;
};

int check(const CheckOptions& options, const Console& console) {
  if (options.keys) {
    console.out << run_file_reference(catalog());
    return 0;
  }
  if (options.run_file.empty()) {
    throw Error(ErrorCode::kInvalidInput, "Name a run file, or give --keys for the reference of all keys.");
  }
  const ResolvedRun resolved = resolve_run_file(options.run_file, options.overrides);
  refuse_unfit_files(resolved.run, std::filesystem::absolute(options.run_file).parent_path());
  ask_server_about_training_files(resolved.run, options.run_file, options.overrides);
  if (options.json) {
    console.out << json_text(resolved_json(resolved)) << "\n";
  } else {
    console.print(resolved_lines(resolved));
  }
  return 0;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("check", "Check a run file and explain what it means");
  auto options = std::make_shared<CheckOptions>();
  command->add_option("run", options->run_file, "The run file")->type_name("RUN.toml");
  command->add_option("--set", options->overrides, "Override a key")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "As one JSON object");
  command->add_flag("--keys", options->keys, "Print the reference of all keys, in Markdown");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return check(*options, console); }; });
}

}  // namespace flowloom
