#include "program/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "spec/error.h"

namespace flowloom {

DirectoryLock::DirectoryLock(const std::filesystem::path& directory, const std::string& sentence) {
  file_ = ::open((directory / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) {
    throw Error(ErrorCode::kUnavailable, "The directory '" + directory.string() +
                                             "' cannot be written; mend its permissions or choose another.");
  }
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw Error(ErrorCode::kInUse, sentence);
  }
}

DirectoryLock::~DirectoryLock() { ::close(file_); }

}  // namespace flowloom
