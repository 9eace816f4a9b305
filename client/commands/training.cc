// flowloom training: the record of a run's training as CSV or JSON lines.
#include <cmath>
#include <ostream>

#include "client/commands/commands.h"
#include "client/numbers.h"
#include "client/source.h"

namespace flowloom {
namespace {

struct TrainingOptions {
  Place place;
  std::string format = "csv";
  bool evaluations = false;
};

int training(const TrainingOptions& options, const Console& console) {
  const auto points = open_source(options.place.where, options.place.options)->training();
  const auto* type = v1::TrainingPoint::descriptor();
  const bool csv = options.format == "csv";
  for (int i = 0; csv && i < type->field_count(); ++i) {
    console.out << (i > 0 ? "," : "") << type->field(i)->name() << (i + 1 < type->field_count() ? "" : "\n");
  }
  for (const v1::TrainingPoint& point : points) {
    if (options.evaluations && std::isnan(point.ess())) continue;
    std::string line;
    for (int i = 0; i < type->field_count(); ++i) {
      const auto* field = type->field(i);
      std::string number;
      if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT64) {
        number = std::to_string(point.GetReflection()->GetInt64(point, field));
      } else {
        const double value = point.GetReflection()->GetDouble(point, field);
        number = csv || std::isfinite(value) ? exact_number(value) : "null";
      }
      line += (i > 0 ? "," : "") + (csv ? number : "\"" + field->name() + "\":" + number);
    }
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
