#include "client/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "spec/error.h"

extern char** environ;

namespace flowloom {
namespace {

// Owns what posix_spawn is told.
struct SpawnSettings {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;

  SpawnSettings(const std::string& output, const std::string& folder) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
};

}  // namespace

Exit Exit::from(int status) {
  return WIFSIGNALED(status) ? Exit{true, WTERMSIG(status)} : Exit{false, WEXITSTATUS(status)};
}

std::string Exit::sentence() const {
  if (!by_signal) return "ended with exit code " + std::to_string(code);
  const char* name = ::strsignal(code);
  return "was killed by signal " + std::to_string(code) + " (" + (name ? name : "unknown") + ")";
}

Child::Child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
             const std::filesystem::path& output, const std::filesystem::path& folder)
    : name_(program.filename().string()), output_(output) {
  if (program.has_parent_path() && !std::filesystem::exists(program)) {
    throw Error(ErrorCode::kNotFound, "'" + program.string() +
                                          "' does not exist; install all programs of Flowloom in "
                                          "one folder.");
  }
  std::error_code missing;
  const auto size = std::filesystem::file_size(output_, missing);
  output_start_ = missing ? 0 : size;
  const SpawnSettings settings(output_.string(), folder.string());
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error =
      ::posix_spawnp(&pid_, program.c_str(), &settings.actions, &settings.attributes, argv.data(), environ);
  if (error != 0) {
    throw Error(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                "'" + program.string() + "' cannot be started (" + ::strerror(error) + ").");
  }
}

Child::~Child() {
  if (poll()) return;
  ::kill(pid_, SIGKILL);
  wait();
}

Exit Child::wait() {
  int status = 0;
  while (!exit_) {
    if (::waitpid(pid_, &status, 0) == pid_) {
      exit_ = Exit::from(status);
    } else if (errno != EINTR) {
      exit_ = Exit{false, 127};  // reaped by somebody else (SIGCHLD ignored): how it ended is lost
    }
  }
  return *exit_;
}

const std::optional<Exit>& Child::poll() {
  int status = 0;
  if (!exit_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_ = Exit::from(status);
  }
  return exit_;
}

void Child::signal(int number) {
  if (!poll()) ::kill(pid_, number);
}

std::string Child::last_words() const {
  std::ifstream file(output_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(output_start_));
  std::string line, last;
  while (std::getline(file, line)) {
    if (!line.empty()) last = line;
  }
  return last.starts_with(name_ + ": ") ? last.substr(name_.size() + 2) : last;
}

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

}  // namespace flowloom
