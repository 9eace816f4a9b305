// The frame of every program: one-line errors with exit codes, signals as calls, a log file.
#pragma once

#include <spdlog/spdlog.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

namespace flowloom {

// Runs `body`; an Error becomes "<name>: <sentence>" on stderr and its exit code, anything else exit code 1.
int run_program(const std::string& name, const std::function<int()>& body);

// Turns what asks a program to end into calls: SIGINT, SIGTERM; and, as a scheduler's early notice, SIGUSR1 and
// SIGUSR2, and SIGHUP unless the program was started with that ignored (nohup). Construct it in main before any thread
// starts: all threads then leave these signals to its own.
class Signals {
 public:
  // `on_signal` is called on the signal thread, with 1 for the first, 2 for the second, … An early notice and the first
  // SIGTERM or SIGINT after it are one. A SIGTERM within a second of another signal does not count: schedulers send it
  // to a process twice.
  explicit Signals(std::function<void(int)> on_signal);
  ~Signals();

 private:
  std::jthread thread_;
};

// The default logger writes to `file` (appended, flushed on every line at info and above).
void log_to(const std::filesystem::path& file, const std::string& level);

// This machine's name.
std::string host_name();

// "host:pid", for people to tell processes apart.
std::string process_name();

// Arranges a SIGTERM for this process when its parent ends, so that no child of `flowloom up` outlives it, however it
// ends.
void die_with_parent();

// For a server that many messages reach: a thread that wakes up does not interrupt one that runs, and memory that was
// given back stays with the process. Before it starts threads.
void prefer_throughput();

}  // namespace flowloom
