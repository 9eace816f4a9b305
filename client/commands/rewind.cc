// flowloom rewind: leaves the end of a chain behind.
#include <ostream>

#include "chain/store.h"
#include "client/commands/commands.h"
#include "flow/catalog.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct RewindOptions {
  std::string directory, reason;
  std::uint64_t unit = 0;
};

int rewind(const RewindOptions& options, const Console& console) {
  const RunDirectory directory(options.directory);
  directory.refuse_lost_store();
  Store store = Store::open(directory.store(), Store::Mode::kReadWrite);
  const RunSpec run = directory.read_run(load_run_text);
  const std::uint64_t frontier = store.frontier(), to = options.unit * run.unit;
  if (options.unit >= frontier / run.unit) {
    throw Error(ErrorCode::kInvalidInput, "--to " + std::to_string(options.unit) + ": the chain has " +
                                              std::to_string(frontier / run.unit) +
                                              " units, numbered from 0; name one of them.");
  }
  store.check_links(1, store.size());  // of a damaged log nothing goes on
  store.append({RewindRecord{to, options.reason}});
  console.out << "Units " << options.unit << " to " << frontier / run.unit - 1 << " (" << frontier - to
              << " proposals) do not belong to the chain any more; they stay in the log.\n"
              << "It goes on from proposal " << to << " when its coordinator is started again.\n";
  return 0;
}

}  // namespace

void add_rewind(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("rewind", "Leave behind a chain's units from one on, which then are drawn again");
  auto options = std::make_shared<RewindOptions>();
  command->add_option("directory", options->directory, "A run directory that nobody serves")
      ->required()
      ->type_name("DIR");
  command->add_option("--to", options->unit, "The first unit that is left behind")->required()->type_name("UNIT");
  add_reason(*command, options->reason);
  command->callback(
      [&action, options] { action = [options](const Console& console) { return rewind(*options, console); }; });
}

}  // namespace flowloom
