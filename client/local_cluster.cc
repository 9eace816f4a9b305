#include "client/local_cluster.h"

#include <signal.h>

#include <algorithm>
#include <thread>

#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

constexpr auto kCoordinatorDeadline = 10min;  // a long log is read before it serves

}  // namespace

LocalCluster::Program& LocalCluster::add(const std::string& name, const std::string& binary,
                                         std::vector<std::string> arguments) {
  auto program = std::make_unique<Program>();
  program->name = name;
  program->binary = options_.programs / binary;
  program->arguments = {"--dir", options_.directory.path().string()};
  program->arguments.insert(program->arguments.end(), arguments.begin(), arguments.end());
  program->arguments.insert(program->arguments.end(), {"--log-level", options_.log_level, "--die-with-parent"});
  programs_.push_back(std::move(program));
  return *programs_.back();
}

void LocalCluster::start(Program& program) {
  program.restart_at.reset();
  program.child =
      std::make_unique<Child>(program.binary, program.arguments, options_.directory.logs() / (program.name + ".out"));
}

void LocalCluster::signal(const Program& program, int number) {
  if (program.child) program.child->signal(number);
}

bool LocalCluster::start_coordinator(const std::function<bool()>& waiting) {
  const bool fresh = !std::filesystem::exists(options_.directory.logs());
  try {
    make_directories(options_.directory.logs());
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorCode::kUnavailable, "The run directory '" + options_.directory.path().string() +
                                             "' cannot be made (" + error.code().message() +
                                             "); choose another with --dir.");
  }
  std::vector<std::string> arguments{"--run", options_.run_file.string(), "--listen", "127.0.0.1:0"};
  for (const std::string& assignment : options_.overrides) arguments.insert(arguments.end(), {"--set", assignment});
  if (options_.training_only) arguments.push_back("--stay");
  if (options_.accept_rollback) arguments.push_back("--accept-rollback");
  arguments.insert(arguments.end(), options_.of_coordinator.begin(), options_.of_coordinator.end());
  Program& coordinator = add("coordinator", "flowloom-coordinator", std::move(arguments));
  start(coordinator);
  for (const auto deadline = Clock::now() + kCoordinatorDeadline; Clock::now() < deadline;
       std::this_thread::sleep_for(20ms)) {
    const auto owner = options_.directory.owner();
    if (owner && owner->pid == coordinator.child->pid()) return true;
    if (const auto& exit = coordinator.child->poll()) {
      if (exit->orderly()) return true;  // it came, found nothing to do, and left
      const std::string words = coordinator.child->last_words();
      const bool own_sentence = !exit->by_signal && !words.empty();
      if (own_sentence && fresh) remove_logs();
      throw Error(!exit->by_signal && exit->code == 2 ? ErrorCode::kConflict : ErrorCode::kUnavailable,
                  own_sentence ? words : epitaph(coordinator));
    }
    if (!waiting()) return false;
  }
  throw Error(ErrorCode::kUnavailable, "The coordinator did not begin to serve within 10 minutes; see " +
                                           (options_.directory.logs() / "coordinator.log").string() + ".");
}

// A start that was refused leaves nothing behind.
void LocalCluster::remove_logs() {
  std::error_code ignored;
  std::filesystem::remove(options_.directory.logs() / "coordinator.out", ignored);
  std::filesystem::remove(options_.directory.logs(), ignored);  // only if it is empty
  std::filesystem::remove(options_.directory.path(), ignored);
}

bool LocalCluster::coordinator_left() const {
  return coordinator_ended() && programs_.front()->child->poll()->orderly();
}

bool LocalCluster::coordinator_ended() const {
  return programs_.empty() || programs_.front()->child->poll().has_value();
}

void LocalCluster::start_server() {
  std::vector<std::string> arguments{"--base", std::filesystem::absolute(options_.run_file).parent_path().string(),
                                     "--log-file", (options_.directory.logs() / "server.log").string()};
  arguments.push_back("--alone");  // its threads are as many as this machine has cores: workers here would add nothing
  if (options_.training_only) arguments.push_back("--to-end");
  if (options_.threads > 0) arguments.insert(arguments.end(), {"--threads", std::to_string(options_.threads)});
  start(add("server", "flowloom-server", std::move(arguments)));
}

void LocalCluster::start_workers() {
  for (std::size_t i = 1; i <= options_.workers; ++i) {
    const std::string name = "worker-" + std::to_string(i);
    start(add(name, "flowloom-worker",
              {"--name", name, "--device", options_.device, "--log-file",
               (options_.directory.logs() / (name + ".log")).string()}));
  }
}

std::string LocalCluster::epitaph(const Program& program) const {
  std::string words = program.child->last_words();
  if (words.ends_with('.')) words.pop_back();
  return program.binary.filename().string() + " (" + program.name + ") " + program.child->poll()->sentence() +
         (words.empty() ? "" : ", saying: " + words) + "; its log is " +
         (options_.directory.logs() / (program.name + ".log")).string() + ".";
}

std::vector<std::string> LocalCluster::tick(Clock::time_point now, bool may_train) {
  std::vector<std::string> notices;
  for (const auto& program : programs_) {
    if (program->restart_at) {
      if (now >= *program->restart_at && !stopping_) start(*program);
      continue;
    }
    if (!program->child || !program->child->poll() || program->child->poll()->orderly() || stopping_) continue;
    if (program->name == "server" && !may_train) continue;
    if (const auto& exit = program->child->poll();
        !exit->by_signal && exit->code == 2) {  // what it was asked for is wrong
      throw Error(ErrorCode::kConflict, epitaph(*program));
    }
    program->restart_at = program->policy.died(now);
    if (!program->restart_at) {
      throw Error(ErrorCode::kUnavailable, "Gave up after " + std::to_string(RestartPolicy::kRestarts) +
                                               " new starts within a minute: " + epitaph(*program));
    }
    notices.push_back(program->name + " " + program->child->poll()->sentence() + "; starting it again (" +
                      std::to_string(program->policy.recent_deaths()) + " of " +
                      std::to_string(RestartPolicy::kRestarts) + ")");
  }
  return notices;
}

void LocalCluster::begin_stop() {
  stopping_ = true;
  for (const auto& program : programs_) {
    if (program->name == "server" || program->name == "coordinator") signal(*program, SIGTERM);
  }
}

void LocalCluster::stop_workers() {
  stopping_ = true;
  for (const auto& program : programs_) {
    if (program->name.starts_with("worker")) signal(*program, SIGTERM);
  }
}

bool LocalCluster::all_ended() {
  return std::all_of(programs_.begin(), programs_.end(),
                     [](const auto& program) { return !program->child || program->child->poll(); });
}

void LocalCluster::kill() {
  stopping_ = true;
  for (const auto& program : programs_) signal(*program, SIGKILL);
}

}  // namespace flowloom
