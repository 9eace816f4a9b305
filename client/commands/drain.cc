// flowloom drain: ends a run's work for now, in order.
#include <ostream>

#include "client/commands/commands.h"

namespace flowloom {

void add_drain(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("drain", "Finish and commit what is under way, then let the coordinator leave");
  auto place = std::make_shared<Place>();
  place->options.role = Role::kAdmin;
  add_place(*command, *place);
  command->callback([&action, place] {
    action = [place](const Console& console) {
      const Connection connection(find_coordinator(place->where, place->options));
      connection.drain();
      console.out << "The coordinator at " << connection.address()
                  << " grants no more work and leaves when what is leased is committed.\n";
      return 0;
    };
  });
}

}  // namespace flowloom
