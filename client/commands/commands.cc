#include "client/commands/commands.h"

#include <algorithm>
#include <ostream>

#include "program/rpc.h"
#include "spec/error.h"
#include "spec/schema.h"

namespace flowloom {
namespace {

[[noreturn]] void refuse(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "flowloom" : "flowloom " + chosen.front()->get_name();
  std::string sentence = error.what();
  while (!sentence.empty() && (sentence.back() == '\n' || sentence.back() == '.')) sentence.pop_back();
  throw Error(ErrorCode::kInvalidInput, sentence + "; '" + command + " --help' says what it takes.");
}

void refuse_unknown_command(CLI::App& app, const std::string& name) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (name.starts_with('-') || std::find(names.begin(), names.end(), name) != names.end()) return;
  const auto guess = did_you_mean(name, names);
  throw Error(ErrorCode::kInvalidInput,
              "There is no command '" + name + "'; " +
                  (guess ? "did you mean '" + *guess + "'?" : "it is one of " + join_or(names) + "."));
}

}  // namespace

void add_place(CLI::App& command, Place& place) {
  command.add_option("directory", place.where, "A run directory, or the address of its coordinator")
      ->required()
      ->type_name("DIR|HOST:PORT");
  command
      .add_option("--tls", place.options.tls, "Folder made by 'flowloom certs': whom to trust, and the token to show")
      ->type_name("DIR");
  command
      .add_option("--token-file", place.options.token_file, "The token to show; a run directory and --tls have theirs")
      ->type_name("FILE");
  command.add_flag("--insecure", place.options.insecure, "Accept an address that is not on loopback, without TLS");
}

void add_reason(CLI::App& command, std::string& reason) {
  reason = "no reason was given";
  command.add_option("--reason", reason, "For the log")->check([](const std::string& text) {
    return text.size() <= limits::kReasonBytes ? "" : "must have at most 4096 bytes";
  });
}

void add_wait(CLI::App& command, Place& place) {
  command
      .add_option_function<double>(
          "--wait",
          [&place](double seconds) {
            place.options.wait = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds));
          },
          "How long a coordinator that was lost is awaited; default: for ever")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e6));
}

int run_command_line(std::vector<std::string> arguments, const Console& console) {
  CLI::App app{"Samples lattice field theories with normalizing flows, exactly, on one machine or many.", "flowloom"};
  app.set_version_flag("--version", "flowloom " FLOWLOOM_VERSION);
  app.require_subcommand(0, 1);
  Action action;
  add_check(app, action);
  add_up(app, action);
  add_train(app, action);
  add_status(app, action);
  add_samples(app, action);
  add_verify(app, action);
  add_digest(app, action);
  add_rewind(app, action);
  add_measure(app, action);
  add_models(app, action);
  add_training(app, action);
  add_drain(app, action);
  add_study(app, action);
  add_reference(app, action);
  add_certs(app, action);
  if (arguments.empty()) {
    console.out << app.help();
    return 0;
  }
  refuse_unknown_command(app, arguments.front());
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) refuse(app, error);
    return app.exit(error, console.out, console.err);  // --help, --version
  }
  return action(console);
}

}  // namespace flowloom
