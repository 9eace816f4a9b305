// A child process: started in a process group of its own (so that Ctrl-C at the terminal reaches only us),
// its output appended to a file, reaped here.
//
// Start and poll from one thread that lives as long as the child: the child's "die with parent" is tied to it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flowloom {

struct Exit {
  bool by_signal = false;
  int code = 0;  // the exit code, or the signal's number

  static Exit from(int status);  // as waitpid gives it
  bool orderly() const { return !by_signal && code == 0; }
  std::string sentence() const;  // "ended with exit code 1", "was killed by signal 9 (Killed)"
};

class Child {
 public:
  // A program's name without a folder is looked for on the PATH. It runs in `folder` (empty: where we are). Throws
  // `kNotFound` if there is no such program, `kUnavailable` if it cannot be started.
  Child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
        const std::filesystem::path& output, const std::filesystem::path& folder = {});
  ~Child();  // a child that still runs is killed
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }

  // How it ended; nothing while it runs. Does not wait.
  const std::optional<Exit>& poll();

  // Waits for its end.
  Exit wait();

  // Nothing happens to a child that has ended.
  void signal(int number);

  // The last line that this child wrote to its output, without its own name before it, or "".
  std::string last_words() const;

 private:
  pid_t pid_ = 0;
  std::string name_;
  std::optional<Exit> exit_;
  std::filesystem::path output_;
  std::uintmax_t output_start_ = 0;  // where its own output begins in the file
};

// The folder of the running program: its companions lie beside it.
std::filesystem::path program_folder();

}  // namespace flowloom
