// flowloom digest: the log's head. Two runs are the same if their heads are.
#include <ostream>

#include "client/commands/commands.h"
#include "client/source.h"

namespace flowloom {

void add_digest(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("digest", "Print the digest of a log: equal digests are equal chains");
  auto place = std::make_shared<Place>();
  add_place(*command, *place);
  command->callback([&action, place] {
    action = [place](const Console& console) {
      console.out << open_source(place->where, place->options)->head() << "\n";
      return 0;
    };
  });
}

}  // namespace flowloom
