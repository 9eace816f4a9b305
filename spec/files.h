// Files that are whole or not there, and directories that stay.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace flowloom {

// Replaces `file` by `bytes` atomically and durably: a temporary file beside it, fsync, rename, fsync of the
// directory. A crash leaves the old file or the new one. Throws `kUnavailable` (no room, no permission) and
// leaves the old one.
void write_file_atomically(const std::filesystem::path& file, std::string_view bytes, int mode = 0644);

// Makes the directory and those above it, as far as they are missing, durably: each one's name is on disk when this
// returns. Throws std::filesystem::filesystem_error.
void make_directories(const std::filesystem::path& directory);

// Throws `kNotFound` with the path if it cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace flowloom
