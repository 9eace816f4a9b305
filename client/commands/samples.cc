// flowloom samples: the chain's proposals as CSV or JSON lines.
#include <limits>
#include <ostream>

#include "client/commands/commands.h"
#include "client/samples.h"
#include "client/source.h"

namespace flowloom {
namespace {

struct SamplesOptions {
  Place place;
  std::uint64_t from = 0;
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
  std::string format = "csv";
  bool follow = false, no_header = false;
};

int samples(const SamplesOptions& options, const Console& console) {
  const auto source = open_source(options.place.where, options.place.options);
  const SampleWriter writer(make_theory(source->run().theory),
                            options.format == "csv" ? SampleFormat::kCsv : SampleFormat::kJsonLines);
  if (!options.no_header) console.out << writer.header();
  std::uint64_t left = options.count;
  if (left == 0) return 0;
  source->units(options.from, options.follow, {}, [&](const UnitRecord& unit) {
    std::string text;
    for (std::size_t k = 0; k < unit.data.count() && left > 0; ++k) {
      if (unit.data.first_index + k < options.from) continue;
      text += writer.line(unit, k);
      --left;
    }
    console.out << text;
    if (options.follow) console.out.flush();
    return left > 0 && console.out.good();
  });
  return 0;
}

}  // namespace

void add_samples(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("samples", "Write the chain's proposals: weights, sums, observables");
  auto options = std::make_shared<SamplesOptions>();
  add_place(*command, options->place);
  command->add_option("--from", options->from, "The first proposal")->capture_default_str();
  command->add_option("--count", options->count, "At most this many proposals");
  command->add_option("--format", options->format, "csv or jsonl")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  command->add_flag("--follow", options->follow, "Go on as proposals are committed, until the chain ends");
  command->add_flag("--no-header", options->no_header, "CSV without its first line");
  command->callback([&action, options] {
    action = [options](const Console& console) { return samples(*options, console); };
  });
}

}  // namespace flowloom
