// flowloom: the command line. client/commands/ is its table of contents.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>

#include "client/commands/commands.h"
#include "client/text.h"
#include "program/program.h"
#include "spec/error.h"

namespace {

// True if standard output is a pipe that nobody reads any more: `flowloom samples DIR | head` is no mistake.
bool reader_has_left() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  return flowloom::run_program("flowloom", [&] {
    const flowloom::Console console{std::cout, std::cerr, ::isatty(STDOUT_FILENO) == 1, ::isatty(STDERR_FILENO) == 1,
                                    flowloom::shell_word(argv[0])};
    const int code = flowloom::run_command_line({argv + 1, argv + argc}, console);
    if (!std::cout.flush() && !reader_has_left()) {
      throw flowloom::Error(flowloom::ErrorCode::kUnavailable,
                            "Standard output cannot be written; make room on its disk.");
    }
    return code;
  });
}
