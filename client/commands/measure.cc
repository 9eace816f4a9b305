// flowloom measure: what takes a configuration, on those of a chain.
#include "client/measure.h"

#include "client/commands/commands.h"

namespace flowloom {

void add_measure(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "measure", "Draw a chain's configurations again and measure on them what the log does not have");
  auto options = std::make_shared<MeasureOptions>();
  command->add_option("directory", options->directory, "A run directory")->required()->type_name("DIR");
  command->add_option("--burn-in", options->burn_in, "Chain steps to leave out")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62));
  command->add_option("--threads", options->threads, "Threads (default: one for each core)")
      ->check(CLI::Range(1, 1024));
  command->add_option("--output", options->output, "Write the quantities after each chain step to a CSV file")
      ->type_name("FILE.csv");
  command->add_flag("--json", options->json, "The result as one JSON object");
  command->callback([&action, options] {
    action = [options](const Console& console) {
      options->connection.say = [&](const std::string& line) { console.err << line << std::endl; };
      return measure(*options, console);
    };
  });
}

}  // namespace flowloom
