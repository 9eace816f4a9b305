// flowloom-server: trains a flow on a coordinator's run and publishes checkpoints.
#include <unistd.h>

#include <thread>

#include "flow/catalog.h"
#include "program/options.h"
#include "program/program.h"
#include "program/run_directory.h"
#include "server/start.h"
#include "server/training.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Options {
  CommonOptions common;
  double save_every = 10;
  TrainingOptions training;
  std::filesystem::path check;  // a run file
  std::vector<std::string> overrides;
};

int run(Options options) {
  if (!options.check.empty()) {
    const auto base = std::filesystem::absolute(options.check).parent_path();
    refuse_unfit_training_files(load_run_file(options.check, options.overrides), base);
    return 0;
  }
  std::stop_source stop;
  const Signals signals([&](int count) {
    if (count > 1) ::_exit(1);  // the last saved state is whole
    stop.request_stop();
  });
  if (options.common.die_with_parent) die_with_parent();
  const LogScope log(options.common);
  PeerFinder finder(options.common.peer);
  if (options.training.state.empty()) {
    if (options.common.peer.directory.empty()) {
      throw Error(ErrorCode::kInvalidInput,
                  "Without --dir, --state DIR must say where the training's state is to be kept.");
    }
    options.training.state = RunDirectory(options.common.peer.directory).training();
  }
  options.training.save_every = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.save_every));
  options.training.wait = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.common.wait_seconds));
  train(std::move(finder), options.training, stop.get_token());
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) {
  flowloom::Options options;
  options.common.peer.role = flowloom::Role::kTrainer;
  options.training.threads = std::max(1u, std::thread::hardware_concurrency());
  CLI::App app{"Trains a flow on a coordinator's run, publishes checkpoints, and goes on where it was stopped."};
  flowloom::add_common_options(app, options.common);
  app.add_option("--state", options.training.state, "Where weights and optimiser are kept; default: RUN/train")
      ->type_name("DIR");
  app.add_option("--save-every", options.save_every, "Seconds between two saved states")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_flag("--alone", options.training.alone, "Compute all gradients here, without the coordinator's workers");
  app.add_flag("--to-end", options.training.to_end, "Train until [train] stop, even if the chain needs no more");
  app.add_option("--base", options.training.base,
                 "Where the files lie that the run file names; default: the working directory")
      ->type_name("DIR");
  app.add_option("--threads", options.training.threads, "Threads; the weights do not depend on it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--check", options.check, "Only check the files that this run file's [train] names")
      ->type_name("RUN.toml");
  app.add_option("--set", options.overrides, "Override a key of the checked run file")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  if (const auto code = flowloom::parse_options(app, argc, argv)) return *code;
  return flowloom::run_program("flowloom-server", [&] { return flowloom::run(options); });
}
