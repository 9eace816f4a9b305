// flowloom samples: the chain as CSV or JSON lines.
#include <algorithm>
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
  bool proposals = false, follow = false, no_header = false;
};

// Where to begin to read so that the state at proposal `from` is known: at or before the last one accepted before it.
std::uint64_t start_of_state(Source& source, std::uint64_t from) {
  from = std::min(from, source.status().proposals());
  for (std::uint64_t back = source.run().unit;; back *= 4) {
    const std::uint64_t start = from > back ? from - back : 0;
    bool accepted = false;
    source.units(start, false, {}, [&](const UnitRecord& unit) {
      for (std::size_t k = 0; k < unit.data.count() && unit.data.first_index + k < from; ++k)
        accepted |= unit.accepted[k] != 0;
      return !accepted && unit.data.first_index + unit.data.count() < from;
    });
    if (accepted || start == 0) return start;
  }
}

int samples(SamplesOptions options, const Console& console) {
  options.place.options.say = [&](const std::string& line) { console.err << line << std::endl; };
  const auto source = open_source(options.place.where, options.place.options);
  SampleWriter writer(make_theory(source->run().theory),
                      options.format == "csv" ? SampleFormat::kCsv : SampleFormat::kJsonLines,
                      options.proposals ? SampleView::kProposals : SampleView::kChain);
  if (!options.no_header) console.out << writer.header();
  std::uint64_t left = options.count;
  if (left == 0) return 0;
  source->units(start_of_state(*source, options.from), options.follow, {}, [&](const UnitRecord& unit) {
    std::string text;
    for (std::size_t k = 0; k < unit.data.count() && left > 0; ++k) {
      writer.step(unit, k);
      if (unit.data.first_index + k < options.from) continue;
      text += writer.line();
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
  auto* command =
      app.add_subcommand("samples", "Write the chain, one line a step: weights, sums, observables of its state");
  auto options = std::make_shared<SamplesOptions>();
  const CLI::Validator not_negative(
      [](const std::string& text) { return std::string(text.starts_with('-') ? text + " is negative" : ""); }, "");
  add_place(*command, options->place);
  add_wait(*command, options->place);
  command->add_option("--from", options->from, "The first step")->check(not_negative)->capture_default_str();
  command->add_option("--count", options->count, "At most this many steps")->check(not_negative);
  command->add_option("--format", options->format, "csv or jsonl")
      ->check(CLI::IsMember({"csv", "jsonl"}))
      ->capture_default_str();
  command->add_flag("--proposals", options->proposals,
                    "The numbers of each proposal, accepted or not, instead of the state's");
  command->add_flag("--follow", options->follow, "Go on as proposals are committed, until the chain ends");
  command->add_flag("--no-header", options->no_header, "CSV without its first line");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return samples(*options, console); }; });
}

}  // namespace flowloom
