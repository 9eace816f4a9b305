#include "program/options.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <iostream>

#include "program/program.h"
#include "program/rpc.h"

namespace flowloom {

void add_log_level(CLI::App& app, std::string& level) {
  app.add_option("--log-level", level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->type_name("LEVEL")
      ->capture_default_str();
}

void add_common_options(CLI::App& app, CommonOptions& options) {
  app.add_option("--dir", options.peer.directory, "Run directory; says where its coordinator is")->type_name("RUN");
  app.add_option("--coordinator", options.peer.address,
                 "Address of the coordinator, where its directory is not in reach")
      ->type_name("HOST:PORT");
  app.add_option("--tls", options.peer.tls, "Folder made by 'flowloom certs': whom to trust, and this program's token")
      ->type_name("DIR");
  app.add_option("--token-file", options.peer.token_file,
                 "The token to show; default: of --tls, or the run directory's")
      ->type_name("FILE");
  app.add_flag("--insecure", options.peer.insecure, "Accept an address that is not on loopback without TLS");
  app.add_option("--wait", options.wait_seconds, "How long to wait for the coordinator to appear")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--log-file", options.log_file, "Append the log to this file instead of stderr")->type_name("FILE");
  add_log_level(app, options.log_level);
  app.add_flag("--die-with-parent", options.die_with_parent,
               "End in order when the process that started this one ends");
}

std::optional<int> parse_options(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return {};
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::cerr << std::filesystem::path(argv[0]).filename().string() << ": " << error.what()
              << "; --help says what it takes.\n";
    return 2;
  }
}

LogScope::LogScope(const CommonOptions& options) : to_stderr_(options.log_file.empty()) {
  if (!to_stderr_) {
    log_to(options.log_file, options.log_level);
    return;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("stderr"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l [%P] %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
}

LogScope::~LogScope() {
  if (to_stderr_) spdlog::set_level(spdlog::level::off);
}

}  // namespace flowloom
