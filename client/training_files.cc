#include "client/training_files.h"

#include "client/child.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {

void ask_server_about_training_files(const RunSpec& run, const std::filesystem::path& run_file,
                                     const std::vector<std::string>& overrides) {
  if (run.train.start.empty() && run.train.target_samples.empty()) return;
  std::vector<std::string> arguments{"--check", run_file.string()};
  for (const std::string& assignment : overrides) arguments.insert(arguments.end(), {"--set", assignment});
  const auto output = std::filesystem::temp_directory_path() / ("flowloom-check-" + random_hex(8));
  Child server(program_folder() / "flowloom-server", arguments, output);
  const Exit exit = server.wait();
  const std::string words = server.last_words();
  std::error_code ignored;
  std::filesystem::remove(output, ignored);
  if (exit.orderly()) return;
  throw Error(exit.by_signal ? ErrorCode::kUnavailable : ErrorCode::kInvalidInput,
              words.empty() ? "flowloom-server --check " + exit.sentence() + "." : words);
}

}  // namespace flowloom
