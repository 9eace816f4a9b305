// flowloom verify: checks a log from itself alone.
#include <ostream>

#include "chain/verify.h"
#include "client/commands/commands.h"
#include "client/results.h"
#include "flow/catalog.h"
#include "program/run_directory.h"

namespace flowloom {
namespace {

struct VerifyOptions {
  std::string directory;
  bool json = false;
};

int verify(const VerifyOptions& options, const Console& console) {
  const RunDirectory directory(options.directory);
  const Store store = Store::open(directory.store(), Store::Mode::kReadOnly);
  const RunSpec run = load_run_text(directory.read_run_file(), directory.run_file().string());
  const std::string total = std::to_string(store.frontier());
  const auto progress = [&](std::uint64_t proposals) {
    if (console.err_is_terminal)
      console.err << "\rchecked " << proposals << " of " << total << " proposals" << std::flush;
  };
  const VerifyReport report = verify_log(store, run, progress);
  if (console.err_is_terminal) console.err << "\r\x1b[K" << std::flush;
  if (options.json) {
    console.out << json_text({{"good", report.good},
                              {"sentence", report.sentence},
                              {"records", report.records},
                              {"proposals", report.proposals},
                              {"accepted", report.accepted},
                              {"invalid", report.invalid},
                              {"head", to_hex(report.head)}})
                << "\n";
  } else if (report.good) {
    console.out << "good: every record follows from the one before, every accept decision from the logged numbers and "
                   "the noise\n"
                << "records    " << report.records << ", each with its link\n"
                << "proposals  " << report.proposals << ": " << report.accepted << " accepted, " << report.invalid
                << " invalid\n"
                << "digest     " << to_hex(report.head) << "\n";
  } else {
    console.out << "FAULT: " << report.sentence << "\n"
                << "good up to proposal " << report.proposals << "\n";
  }
  return report.good ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("verify", "Check every link and every accept decision of a log");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("directory", options->directory, "A run directory that nobody serves")
      ->required()
      ->type_name("DIR");
  command->add_flag("--json", options->json, "As one JSON object");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return verify(*options, console); }; });
}

}  // namespace flowloom
