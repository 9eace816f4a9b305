#include "program/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "spec/error.h"

namespace flowloom {
namespace {

constexpr std::size_t kLongest = 1 << 16;  // a key has a few hundred bytes

}  // namespace

std::string read_secret(const std::filesystem::path& file) {
  const std::string name = "'" + file.string() + "'";
  const auto failed = [&] {
    const ErrorCode code = errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound
                           : errno == EACCES                   ? ErrorCode::kPermissionDenied
                                                               : ErrorCode::kUnavailable;
    return Error(code, name + " cannot be read (" + std::strerror(errno) + "); check its path and permissions.");
  };
  struct Descriptor {
    int fd;
    ~Descriptor() { ::close(fd); }
  };
  // O_NONBLOCK: a pipe in its place is refused below, not waited for.
  const Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (in.fd < 0) throw failed();
  struct stat info{};
  if (::fstat(in.fd, &info) != 0) throw failed();  // of what was opened, not of what has its name by now
  if (!S_ISREG(info.st_mode)) throw Error(ErrorCode::kInvalidInput, name + " is not a file.");
  if ((info.st_mode & 077) != 0) {
    throw Error(ErrorCode::kPermissionDenied, name + " can be read or changed by others; chmod 600 it.");
  }
  std::string bytes;
  char part[4096];
  for (;;) {
    const ssize_t count = ::read(in.fd, part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failed();
    if (count == 0) return bytes;
    bytes.append(part, static_cast<std::size_t>(count));
    if (bytes.size() > kLongest) throw Error(ErrorCode::kCorrupt, name + " is too long for a key or a token.");
  }
}

std::vector<std::string> read_tokens(const std::filesystem::path& file) {
  std::istringstream text(read_secret(file));
  std::vector<std::string> tokens;
  for (std::string token; text >> token;) tokens.push_back(std::move(token));
  if (tokens.empty()) throw Error(ErrorCode::kCorrupt, "'" + file.string() + "' has no token in it.");
  return tokens;
}

}  // namespace flowloom
