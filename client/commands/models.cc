// flowloom models: the versions of a run and where each serves.
#include <ostream>

#include "client/commands/commands.h"
#include "client/results.h"
#include "client/source.h"

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

}  // namespace

void add_models(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("models", "List the versions of a run and where each serves");
  auto options = std::make_shared<ModelsOptions>();
  add_place(*command, options->place);
  command->add_flag("--json", options->json, "As one JSON object");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return models(*options, console); }; });
}

}  // namespace flowloom
