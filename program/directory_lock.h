// A directory that one process works in.
#pragma once

#include <filesystem>
#include <string>

namespace flowloom {

// Holds DIRECTORY/lock until it goes away. Throws `kInUse` with `sentence` while another holds it, `kUnavailable` if
// the directory cannot be written.
class DirectoryLock {
 public:
  DirectoryLock(const std::filesystem::path& directory, const std::string& sentence);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace flowloom
