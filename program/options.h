// The options that workers and trainers share, and what a command line has to do before a program's own work.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "program/peer.h"

namespace flowloom {

struct CommonOptions {
  PeerOptions peer;
  double wait_seconds = 60;  // for the coordinator to appear, at the start
  std::filesystem::path log_file;
  std::string log_level = "info";
  bool die_with_parent = false;
};

// --log-level, as every program has it.
void add_log_level(CLI::App& app, std::string& level);

void add_common_options(CLI::App& app, CommonOptions& options);

// Parses the command line. An exit code if the program is to end at once: 0 after --help, 2 after a mistake,
// which has been printed.
std::optional<int> parse_options(CLI::App& app, int argc, char** argv);

// Logs into the options' file, or to stderr without one. Its end silences stderr's log, because the program's
// frame prints the last sentence there itself.
class LogScope {
 public:
  explicit LogScope(const CommonOptions& options);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  bool to_stderr_;
};

}  // namespace flowloom
