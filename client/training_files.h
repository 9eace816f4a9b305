// Whether a training could begin, asked of the training server before anything is made.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "spec/run_spec.h"

namespace flowloom {

// Throws the server's sentence about a file that [train] names and that cannot serve: `kInvalidInput`. Starts a child,
// if there is such a file.
void ask_server_about_training_files(const RunSpec& run, const std::filesystem::path& run_file,
                                     const std::vector<std::string>& overrides);

}  // namespace flowloom
