// A bad network as a program, for tests: prints the address that it serves and relays until it is ended.
#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "network/relay.h"

int main(int argc, char** argv) {
  std::string server;
  flowloom::Line line;
  double delay = 0, jitter = 0;
  CLI::App app{"Relays TCP connections over a line with faults (tests/network/relay.h)."};
  app.add_option("server", server, "HOST:PORT, a numeric address")->required();
  app.add_option("--rate", line.bytes_per_second, "Bytes per second");
  app.add_option("--delay", delay, "Seconds, one way");
  app.add_option("--jitter", jitter, "Seconds on top, uniform");
  app.add_option("--fragment", line.fragment, "Bytes arrive in pieces of 1 to this many");
  app.add_option("--cut-after", line.cut_after, "Bytes on average until a connection is reset");
  app.add_option("--stall-after", line.stall_after, "Bytes on average until a direction falls silent");
  app.add_option("--seed", line.seed, "Of all draws");
  CLI11_PARSE(app, argc, argv);
  line.delay = std::chrono::duration<double>(delay);
  line.jitter = std::chrono::duration<double>(jitter);

  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // before the relay's thread, which inherits it
  const flowloom::Relay relay(server, line);
  std::printf("%s\n", relay.address().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
}
