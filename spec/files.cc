#include "spec/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "spec/error.h"

namespace flowloom {
namespace {

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, int mode)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

void write_file_atomically(const std::filesystem::path& file, std::string_view bytes, int mode) {
  const std::filesystem::path temporary = file.string() + ".tmp." + std::to_string(::getpid());
  const auto fail = [&](const char* what) {
    const std::string reason = std::strerror(errno);
    ::unlink(temporary.c_str());
    throw Error(ErrorCode::kUnavailable, "Could not " + std::string(what) + " '" + file.string() + "': " + reason +
                                             "; make room or mend the permissions and try again.");
  };
  {
    const Descriptor out(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (out.get() < 0) fail("create");
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t written = ::write(out.get(), bytes.data() + done, bytes.size() - done);
      if (written < 0 && errno != EINTR) fail("write");
      if (written > 0) done += static_cast<std::size_t>(written);
    }
    if (::fsync(out.get()) != 0) fail("write");
  }
  if (::rename(temporary.c_str(), file.c_str()) != 0) fail("replace");
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const Descriptor directory(parent, O_RDONLY | O_DIRECTORY, 0);
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) fail("make durable");
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream bytes;
  if (stream && !std::filesystem::is_directory(file)) {
    if (stream.peek() == std::ifstream::traits_type::eof()) return "";
    if (bytes << stream.rdbuf()) return std::move(bytes).str();
  }
  throw Error(ErrorCode::kNotFound, "'" + file.string() + "' cannot be read; check its path and permissions.");
}

}  // namespace flowloom
