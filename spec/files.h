// Files that are whole or not there.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace flowloom {

// Replaces `file` by `bytes` atomically and durably: a temporary file beside it, fsync, rename, fsync of the
// directory. A crash leaves the old file or the new one. Throws `kUnavailable` (no room, no permission) and
// leaves the old one.
void write_file_atomically(const std::filesystem::path& file, std::string_view bytes, int mode = 0644);

// Throws `kNotFound` with the path if it cannot be read.
std::string read_file(const std::filesystem::path& file);

}  // namespace flowloom
