// Files that hold secrets: keys and tokens. Only their owner may read or change them (mode 0600 or less).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flowloom {

// Throws `kNotFound` if there is no such file, `kPermissionDenied` if others may read or change it or this process may
// not, `kUnavailable` if it cannot be read for another reason.
std::string read_secret(const std::filesystem::path& file);

// The tokens of a file, one a line: the first is what a program shows, each is accepted. So a token is changed without
// a gap by a file that has the new one above the old one for a while. Throws as `read_secret`, and `kCorrupt` if it has
// none.
std::vector<std::string> read_tokens(const std::filesystem::path& file);

}  // namespace flowloom
