#include "client/child.h"

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

  explicit SpawnSettings(const std::string& output) {
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
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
};

}  // namespace

std::string Exit::sentence() const {
  if (!by_signal) return "ended with exit code " + std::to_string(code);
  const char* name = ::strsignal(code);
  return "was killed by signal " + std::to_string(code) + " (" + (name ? name : "unknown") + ")";
}

Child::Child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
             const std::filesystem::path& output)
    : output_(output) {
  if (!std::filesystem::exists(program)) {
    throw Error(ErrorCode::kNotFound, "'" + program.string() +
                                          "' does not exist; install all programs of Flowloom in "
                                          "one folder.");
  }
  std::error_code missing;
  const auto size = std::filesystem::file_size(output_, missing);
  output_start_ = missing ? 0 : size;
  const SpawnSettings settings(output_.string());
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error =
      ::posix_spawn(&pid_, program.c_str(), &settings.actions, &settings.attributes, argv.data(), environ);
  if (error != 0) {
    throw Error(ErrorCode::kUnavailable, "'" + program.string() + "' cannot be started (" + ::strerror(error) + ").");
  }
}

Child::~Child() {
  if (poll()) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

const std::optional<Exit>& Child::poll() {
  int status = 0;
  if (!exit_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_ = WIFSIGNALED(status) ? Exit{true, WTERMSIG(status)} : Exit{false, WEXITSTATUS(status)};
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
  return last;
}

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

}  // namespace flowloom
