// flowloom-coordinator: owns a run directory and its chain.
#include <unistd.h>

#include <cstdio>

#include "coordinator/brain.h"
#include "coordinator/listening.h"
#include "coordinator/opening.h"
#include "coordinator/services.h"
#include "program/address.h"
#include "program/options.h"
#include "program/program.h"
#include "program/tls_folder.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct Options {
  std::string directory, run_file, listen = "127.0.0.1:0", tls, log_level = "info";
  std::vector<std::string> overrides;
  bool insecure = false, require_client_certificate = false, stay = false, accept_rollback = false,
       die_with_parent = false;
  double recheck = 0;
  std::uint32_t seed = 1;
};

// Where others find a coordinator that listens at `address`: on all interfaces is no address to call.
std::string announced(const std::string& address) {
  const auto colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  return (host == "0.0.0.0" || host == "[::]" ? host_name() : host) + address.substr(colon);
}

// What it takes to speak TLS, if that is asked for.
std::optional<ServerTls> server_tls(const Options& options) {
  if (options.tls.empty()) {
    if (!options.require_client_certificate) return {};
    throw Error(ErrorCode::kInvalidInput,
                "--require-client-cert needs --tls DIR, whose authority signs the certificates.");
  }
  ServerTls tls = TlsFolder(options.tls).server_side(split_address(announced(options.listen)).host);
  tls.require_client_certificate = options.require_client_certificate;
  return tls;
}

int run(const Options& options) {
  prefer_throughput();
  if (options.die_with_parent) die_with_parent();
  Brain* brain = nullptr;
  std::atomic<bool> interrupted = false;
  std::mutex mutex;
  const Signals signals([&](int count) {
    if (count > 1) ::_exit(1);
    interrupted = true;
    const std::lock_guard lock(mutex);
    if (brain) brain->drain();
  });
  refuse_unusable_address(options.listen, options.insecure || !options.tls.empty());
  const std::optional<ServerTls> tls = server_tls(options);
  const RunDirectory directory(options.directory);
  OpenedRun opened = open_run(
      directory, options.run_file.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.run_file),
      options.overrides);
  log_to(directory.logs() / "coordinator.log", options.log_level);
  if (!opened.run.engine_reason.empty()) {
    spdlog::info("engine {}: {}", opened.run.numerics.engine, opened.run.engine_reason);
  }
  const std::uint64_t epoch = opened.recovered.epoch;
  const std::optional<UnitSample> recheck =
      options.recheck > 0 ? std::optional(UnitSample{options.recheck, options.seed}) : std::nullopt;
  Brain owner(std::move(opened), directory, options.stay, options.accept_rollback ? Rollback::kAccept : Rollback::kHalt,
              recheck);
  {
    const Services services(owner, options.listen, directory.token(), tls);
    directory.write_owner({announced(services.address()), host_name(), ::getpid(), epoch, tls ? tls->authority : ""});
    spdlog::info("epoch {}: serving on {} {}", epoch, services.address(), tls ? "with TLS" : "without TLS");
    if (!options.die_with_parent) {  // by hand
      std::printf("flowloom-coordinator: serves '%s' on %s; its log is %s\n", directory.path().c_str(),
                  announced(services.address()).c_str(), (directory.logs() / "coordinator.log").c_str());
      std::fflush(stdout);
    }
    {
      const std::lock_guard lock(mutex);
      brain = &owner;
    }
    if (interrupted) owner.drain();
    owner.wait_until_finished();
    {
      const std::lock_guard lock(mutex);
      brain = nullptr;
    }
    directory.remove_owner();
  }
  spdlog::info("left in order");
  return 0;
}

}  // namespace
}  // namespace flowloom

int main(int argc, char** argv) {
  flowloom::Options options;
  CLI::App app{"Owns a run directory: leases units to workers, keeps the chain, serves its status."};
  app.add_option("--dir", options.directory, "The run directory; made if it does not exist")->required();
  app.add_option("--run", options.run_file, "The run file; without it, the directory's own");
  app.add_option("--set", options.overrides, "Overrides a key of the run file: SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--listen", options.listen, "Address and port; port 0 takes a free one")->capture_default_str();
  app.add_option("--tls", options.tls,
                 "Speak TLS, with the certificate and the tokens in this folder ('flowloom certs')")
      ->type_name("DIR");
  app.add_flag("--require-client-cert", options.require_client_certificate,
               "Refuse callers without a certificate of the same authority");
  app.add_flag("--insecure", options.insecure, "Allow an address that is not on loopback, without TLS");
  app.add_option("--recheck", options.recheck,
                 "Draw nothing new, but this share of the chain's units again; leave once they are compared")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--recheck-seed", options.seed, "Which units these are")->check(CLI::Range(1u, 4294967295u));
  app.add_flag("--stay", options.stay, "Go on answering clients when the chain is complete");
  app.add_flag("--accept-rollback", options.accept_rollback,
               "Go on although a peer has seen a later state than the store holds, of this run or of a lost one");
  flowloom::add_log_level(app, options.log_level);
  app.add_flag("--die-with-parent", options.die_with_parent, "End when the process that started this one ends");
  if (const auto code = flowloom::parse_options(app, argc, argv)) return *code;
  return flowloom::run_program("flowloom-coordinator", [&] { return flowloom::run(options); });
}
