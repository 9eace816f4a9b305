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

std::filesystem::path parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Makes the directory's names durable.
bool synchronise(const std::filesystem::path& directory) {
  const Descriptor open(directory, O_RDONLY | O_DIRECTORY, 0);
  return open.get() >= 0 && ::fsync(open.get()) == 0;
}

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
  if (!synchronise(parent_of(file))) fail("make durable");
}

void make_directories(const std::filesystem::path& directory) {
  std::filesystem::path path = directory.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "run/"
  const std::filesystem::path parent = parent_of(path);
  if (path == parent || path == ".") return;
  if (!std::filesystem::exists(parent)) make_directories(parent);
  const bool made = std::filesystem::create_directory(path);
  // Also where it was there: whoever made it may have been ended before this.
  if (!synchronise(parent) && made) {
    throw std::filesystem::filesystem_error("cannot synchronise", parent,
                                            std::error_code(errno, std::generic_category()));
  }
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
