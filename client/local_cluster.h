// The programs of a run on this machine, as `flowloom up` starts them: coordinator, training server, workers.
//
// Keeps true:
//   - a program that dies by a signal or with an error is started again, with pauses, at most five times a minute; then
//     `tick` throws with its name, its end and its log;
//   - a program that ends in order is not started again;
//   - whatever happens, no child outlives this object.
// One owner thread, which must be the one that lives longest (child.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/child.h"
#include "client/restart_policy.h"
#include "program/run_directory.h"

namespace flowloom {

struct ClusterOptions {
  std::filesystem::path programs;  // the folder they lie in
  RunDirectory directory;
  std::filesystem::path run_file;
  std::vector<std::string> overrides;
  std::size_t workers = 0;
  std::string device = "auto";  // of the workers
  bool training_only = false;   // the coordinator stays, the server trains to the end
  std::size_t threads = 0;      // of the server; 0: its default
  std::string log_level;
  bool accept_rollback = false;
  std::vector<std::string> of_coordinator = {};  // further options of it
};

class LocalCluster {
 public:
  using Clock = RestartPolicy::Clock;

  explicit LocalCluster(ClusterOptions options) : options_(std::move(options)) {}

  // Starts the coordinator and waits until it has announced itself; calls `waiting` meanwhile, several times
  // a second, and returns false once that returns false. Throws the coordinator's own sentence if it ends instead.
  bool start_coordinator(const std::function<bool()>& waiting);

  // True once the coordinator has ended: in order, or however.
  bool coordinator_left() const;
  bool coordinator_ended() const;

  void start_server();
  void start_workers();

  // Reaps and starts again. `may_train`: false once training has failed for good, so that a server that ended
  // with an error stays away. Returns sentences about what happened.
  std::vector<std::string> tick(Clock::time_point now, bool may_train);

  // The orderly end: the server saves its state, the coordinator drains. From here on nothing is started again.
  void begin_stop();

  // The workers too: once the coordinator has left.
  void stop_workers();

  // True when no child runs any more.
  bool all_ended();
  void kill();

 private:
  void remove_logs();
  struct Program {
    std::string name;  // "worker-1": of its files in logs/
    std::filesystem::path binary;
    std::vector<std::string> arguments;
    std::unique_ptr<Child> child;
    RestartPolicy policy;
    std::optional<Clock::time_point> restart_at;
  };

  Program& add(const std::string& name, const std::string& binary, std::vector<std::string> arguments);
  void start(Program& program);
  void signal(const Program& program, int number);
  std::string epitaph(const Program& program) const;

  ClusterOptions options_;
  std::vector<std::unique_ptr<Program>> programs_;  // the coordinator first
  bool stopping_ = false;
};

}  // namespace flowloom
