// flowloom training: the record of a run's training as CSV or JSON lines.
#include <cmath>
#include <ostream>

#include "client/commands/commands.h"
#include "client/numbers.h"
#include "client/source.h"
#include "proto/numbers.h"

namespace flowloom {
namespace {

struct TrainingOptions {
  Place place;
  std::string format = "csv";
  bool evaluations = false;
};

int training(const TrainingOptions& options, const Console& console) {
  const auto points = open_source(options.place.where, options.place.options)->training();
  const bool csv = options.format == "csv";
  if (csv) {
    std::string head;
    for (const std::string& name : number_names(*v1::TrainingPoint::descriptor()))
      head += (head.empty() ? "" : ",") + name;
    console.out << head << "\n";
  }
  for (const v1::TrainingPoint& point : points) {
    if (options.evaluations && std::isnan(point.ess())) continue;
    std::string line;
    visit_numbers(point, [&](const std::string& name, const auto& value) {
      std::string number;
      if constexpr (std::is_same_v<decltype(value), const double&>) {
        number = csv || std::isfinite(value) ? exact_number(value) : "null";
      } else {
        number = std::to_string(value);
      }
      line += (line.empty() ? "" : ",") + (csv ? number : "\"" + name + "\":" + number);
    });
    console.out << (csv ? line + "\n" : "{" + line + "}\n");
  }
  return 0;
}

}  // namespace

void add_training(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("training", "Write the record of the training, one line a point");
  auto options = std::make_shared<TrainingOptions>();
  add_place(*command, options->place);
  command->add_option("--format", options->format, "csv or jsonl")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  command->add_flag("--evaluations", options->evaluations, "Only points at which the ESS was evaluated");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return training(*options, console); }; });
}

}  // namespace flowloom
