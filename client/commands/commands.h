// The commands of `flowloom`. Each declares its options on the parser and what it does when it is chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "client/connection.h"
#include "client/console.h"

namespace flowloom {

// What was chosen; returns the exit code, or throws `Error`.
using Action = std::function<int(const Console&)>;

void add_certs(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_up(CLI::App& app, Action& action);
void add_status(CLI::App& app, Action& action);
void add_samples(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_digest(CLI::App& app, Action& action);
void add_drain(CLI::App& app, Action& action);
void add_rewind(CLI::App& app, Action& action);
void add_measure(CLI::App& app, Action& action);
void add_models(CLI::App& app, Action& action);
void add_reference(CLI::App& app, Action& action);
void add_study(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_training(CLI::App& app, Action& action);

// The options that every command has that may talk to a coordinator: DIR|ADDRESS, --tls, --token-file,
// --insecure.
struct Place {
  std::string where;
  ConnectionOptions options;
};
void add_place(CLI::App& command, Place& place);

// --reason, of commands whose decision the log tells.
void add_reason(CLI::App& command, std::string& reason);

// --wait, of commands that follow a run.
void add_wait(CLI::App& command, Place& place);

// Parses `arguments` (without the program's name) and does what they say. A mistake in them throws `kInvalidInput`.
int run_command_line(std::vector<std::string> arguments, const Console& console);

}  // namespace flowloom
