// flowloom-worker: computes units for a coordinator.
#include <unistd.h>

#include "program/options.h"
#include "program/program.h"
#include "worker/worker.h"

namespace flowloom {
namespace {

struct Options {
  CommonOptions common;
  WorkerOptions worker;
  std::string identity;
  std::string device = "auto";
};

int run(Options options) {
  std::stop_source stop;
  const Signals signals([&](int count) {
    if (count > 1) ::_exit(1);  // nothing here needs to be saved
    stop.request_stop();
  });
  if (options.common.die_with_parent) die_with_parent();
  const LogScope log(options.common);
  if (!options.identity.empty()) options.worker.session.identity = sha256_from_hex(options.identity, "--expect");
  options.worker.wait = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * options.common.wait_seconds));
  work(PeerFinder(options.common.peer), Engines(options.device), options.worker, stop.get_token());
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) {
  using flowloom::limits::kCredits;
  using flowloom::limits::kNameBytes;
  flowloom::Options options;
  options.common.peer.role = flowloom::Role::kWorker;
  flowloom::SessionOptions& session = options.worker.session;
  session.name = flowloom::process_name();
  CLI::App app{"Computes units for a coordinator. Keeps nothing: any number may come and go."};
  flowloom::add_common_options(app, options.common);
  app.add_option("--expect", options.identity, "Refuse to work for a run with another identity")->type_name("SHA256");
  app.add_option("--credits", session.credits, "Units taken at once")
      ->check(CLI::Range(1u, kCredits))
      ->capture_default_str();
  app.add_option("--device", options.device, flowloom::kDeviceHelp)
      ->check(flowloom::device_refusal)
      ->capture_default_str();
  app.add_option("--name", session.name, "A name for people")->check([](const std::string& name) {
    return name.size() <= kNameBytes ? "" : "must have at most " + std::to_string(kNameBytes) + " bytes";
  });
  if (const auto code = flowloom::parse_options(app, argc, argv)) return *code;
  return flowloom::run_program("flowloom-worker", [&] { return flowloom::run(options); });
}
