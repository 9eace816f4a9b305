// flowloom models: the versions of a run and where each serves; and, by an operator's decision, which one does.
#include <algorithm>
#include <ostream>
#include <thread>

#include "client/commands/commands.h"
#include "client/results.h"
#include "client/source.h"
#include "program/rpc.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct ModelsOptions {
  Place place;
  bool json = false;
};

int models(const ModelsOptions& options, const Console& console) {
  const v1::ListReply reply = open_source(options.place.where, options.place.options)->models();
  if (options.json) {
    console.out << json_text(models_json(reply)) << "\n";
  } else if (reply.versions_size() == 0) {
    console.out << "no versions yet\n";
  } else {
    console.print(model_lines(reply));
  }
  return 0;
}

struct ActivateOptions {
  Place place;
  std::uint32_t version = 0;
  std::string reason;
};

int activate(const ActivateOptions& options, const Console& console) {
  const Connection connection(find_coordinator(options.place.where, options.place.options));
  const std::uint64_t from = connection.activate(options.version, options.reason);
  const auto durable = [&] {
    const v1::ListReply list = connection.models();
    return std::ranges::any_of(list.switches(), [&](const auto& row) { return row.from() == from; });
  };
  for (const auto end = std::chrono::steady_clock::now() + limits::kUnaryDeadline; !durable();) {
    if (std::chrono::steady_clock::now() > end) {
      throw Error(ErrorCode::kUnavailable,
                  "The coordinator at " + connection.address() +
                      " has not made the switch durable yet; 'flowloom models' shows when it is.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  console.out << "Version " << options.version << " serves from proposal " << from << " on.\n"
              << "The log says so: the chain is exact only if this decision did not look at it.\n";
  return 0;
}

void add_activate(CLI::App& models, Action& action) {
  auto* command =
      models.add_subcommand("activate", "Let a version serve from the next proposal on, against the run file");
  auto options = std::make_shared<ActivateOptions>();
  options->place.options.role = Role::kAdmin;
  add_place(*command, options->place);
  command->add_option("--version", options->version, "The number that 'flowloom models' shows")->required();
  add_reason(*command, options->reason);
  command->callback(
      [&action, options] { action = [options](const Console& console) { return activate(*options, console); }; });
}

}  // namespace

void add_models(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("models", "List the versions of a run and where each serves");
  auto options = std::make_shared<ModelsOptions>();
  add_place(*command, options->place);
  auto* place = command->get_option("directory")->required(false);  // `activate` has its own
  command->add_flag("--json", options->json, "As one JSON object");
  add_activate(*command, action);
  command->callback([&action, options, command, place] {
    if (!command->get_subcommands().empty()) return;
    if (place->empty()) throw CLI::RequiredError("directory");
    action = [options](const Console& console) { return models(*options, console); };
  });
}

}  // namespace flowloom
