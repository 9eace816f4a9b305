// Loaded before libc (LD_PRELOAD): records, for every file and name below $FLOWLOOM_RECORD_BELOW, what was changed and what
// was made durable, in the order in which it happened, in $FLOWLOOM_RECORD_TO/<pid>.journal. power_cut.py reads it and
// makes of a directory what a power cut may have left of it.
//
// A line of the journal is text; a write is followed by its bytes:
//   W inode offset length\n<bytes>      T inode length          S inode (fsync, fdatasync of a file)
//   C inode name    a name was made     U name    removed       R name new    renamed      L name new    linked
//   M name          a directory made    D name    a directory synchronised
// Names are relative to $FLOWLOOM_RECORD_BELOW. Bytes are recorded before they are written and synchronisations after they
// are done, so that a kill between never leaves a promise that was not kept. Streams (fopen: the logs) are not recorded.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char below[PATH_MAX];
static int journal = -1;

__attribute__((constructor)) static void begin(void) {
  const char* where = getenv("FLOWLOOM_RECORD_BELOW");
  const char* to = getenv("FLOWLOOM_RECORD_TO");
  if (!where || !to) return;
  snprintf(below, sizeof below, "%s/", where);
  char name[PATH_MAX];
  snprintf(name, sizeof name, "%s/%d.journal", to, (int)getpid());
  journal = REAL(open)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) abort();  // what is not recorded cannot be judged
}

// One write per entry, so that a kill leaves whole entries.
static void record(const void* bytes, size_t length, const char* format, ...) {
  char line[2 * PATH_MAX + 64];
  va_list arguments;
  va_start(arguments, format);
  const int head = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  struct iovec parts[2] = {{line, (size_t)head}, {(void*)bytes, length}};
  if (REAL(writev)(journal, parts, length ? 2 : 1) != (ssize_t)(head + length)) abort();
}

// The name below the directory, or null.
static const char* named(int directory, const char* path, char* full) {
  if (journal < 0 || !path) return NULL;
  if (path[0] == '/') {
    snprintf(full, PATH_MAX, "%s", path);
  } else {
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
    const ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return NULL;
    base[length] = 0;
    if (snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
  }
  const size_t length = strlen(below);
  if (strncmp(full, below, length - 1) != 0 || (full[length - 1] != '/' && full[length - 1] != 0)) return NULL;
  return full[length - 1] == 0 ? "." : full + length;
}

// Whether the descriptor is a file (1) or a directory (2) below it; `name` gets its name.
static int watched(int fd, struct stat* info, char* name) {
  if (journal < 0 || fd == journal) return 0;
  const int error = errno;
  char link[64], path[PATH_MAX], full[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  int kind = 0;
  if (length > 0 && path[0] == '/') {
    path[length] = 0;
    const char* found = named(AT_FDCWD, path, full);
    if (found && fstat(fd, info) == 0) {
      strcpy(name, found);
      kind = S_ISREG(info->st_mode) ? 1 : S_ISDIR(info->st_mode) ? 2 : 0;
    }
  }
  errno = error;
  return kind;
}

// ---------------------------------------------------------------- bytes

// What is about to be written at `offset` (-1: where the descriptor stands).
static void writing(int fd, const void* bytes, size_t length, off_t offset) {
  struct stat info;
  char name[PATH_MAX];
  if (watched(fd, &info, name) != 1) return;
  if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? info.st_size : lseek(fd, 0, SEEK_CUR);
  record(bytes, length, "W %lu %ld %lu\n", (unsigned long)info.st_ino, (long)offset, (unsigned long)length);
}

ssize_t write(int fd, const void* bytes, size_t length) {
  pthread_mutex_lock(&mutex);
  writing(fd, bytes, length, -1);
  const ssize_t result = REAL(write)(fd, bytes, length);
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

static ssize_t write_at(int fd, const void* bytes, size_t length, off_t offset) {
  pthread_mutex_lock(&mutex);
  writing(fd, bytes, length, offset);
  const ssize_t result = REAL(pwrite64)(fd, bytes, length, offset);
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}
ssize_t pwrite(int fd, const void* bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void* bytes, size_t length, off64_t offset) {
  return write_at(fd, bytes, length, offset);
}

static ssize_t write_parts(int fd, const struct iovec* parts, int count, off_t offset) {
  size_t length = 0;
  for (int i = 0; i < count; ++i) length += parts[i].iov_len;
  char* bytes = malloc(length ? length : 1);
  if (!bytes) abort();
  size_t at = 0;
  for (int i = 0; i < count; ++i) {
    memcpy(bytes + at, parts[i].iov_base, parts[i].iov_len);
    at += parts[i].iov_len;
  }
  pthread_mutex_lock(&mutex);
  writing(fd, bytes, length, offset);
  const ssize_t result = offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev)(fd, parts, count, offset);
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  free(bytes);
  errno = error;
  return result;
}
ssize_t writev(int fd, const struct iovec* parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  return write_parts(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) {
  return write_parts(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t length) {
  struct stat info;
  char name[PATH_MAX];
  pthread_mutex_lock(&mutex);
  if (watched(fd, &info, name) == 1) record(NULL, 0, "T %lu %ld\n", (unsigned long)info.st_ino, (long)length);
  const int result = REAL(ftruncate64)(fd, length);
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synchronised(int fd, int result) {
  const int error = errno;
  struct stat info;
  char name[PATH_MAX];
  const int kind = result == 0 ? watched(fd, &info, name) : 0;
  if (kind == 1) record(NULL, 0, "S %lu\n", (unsigned long)info.st_ino);
  if (kind == 2) record(NULL, 0, "D %s\n", name);
  errno = error;
  return result;
}

int fsync(int fd) {
  pthread_mutex_lock(&mutex);
  const int result = synchronised(fd, REAL(fsync)(fd));
  pthread_mutex_unlock(&mutex);
  return result;
}
int fdatasync(int fd) {
  pthread_mutex_lock(&mutex);
  const int result = synchronised(fd, REAL(fdatasync)(fd));
  pthread_mutex_unlock(&mutex);
  return result;
}

// ---------------------------------------------------------------- names

static int opened(int directory, const char* path, int flags, mode_t mode) {
  char full[PATH_MAX];
  const int error = errno;
  const char* name = named(directory, path, full);
  const int there = name && faccessat(directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  errno = error;
  const int fd = REAL(openat)(directory, path, flags, mode);
  if (fd < 0 || !name) return fd;
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return fd;
  if (!there) record(NULL, 0, "C %lu %s\n", (unsigned long)info.st_ino, name);
  if (there && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY) {
    record(NULL, 0, "T %lu 0\n", (unsigned long)info.st_ino);
  }
  return fd;
}

static int open_recorded(int directory, const char* path, int flags, va_list arguments) {
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
  if (journal < 0) return REAL(openat)(directory, path, flags, mode);
  pthread_mutex_lock(&mutex);
  const int fd = opened(directory, path, flags, mode);
  const int error = errno;
  pthread_mutex_unlock(&mutex);
  errno = error;
  return fd;
}

#define OPEN(name, first, directory, path)                           \
  int name(first const char* path, int flags, ...) {                 \
    va_list arguments;                                               \
    va_start(arguments, flags);                                      \
    const int fd = open_recorded(directory, path, flags, arguments); \
    va_end(arguments);                                               \
    return fd;                                                       \
  }
#define NOTHING
OPEN(open, NOTHING, AT_FDCWD, path)
OPEN(open64, NOTHING, AT_FDCWD, path)
#define DIRECTORY int directory,
OPEN(openat, DIRECTORY, directory, path)
OPEN(openat64, DIRECTORY, directory, path)

static void parent_changed(const char* format, int directory, const char* path) {
  char full[PATH_MAX];
  const char* name = named(directory, path, full);
  if (name) record(NULL, 0, format, name);
}

static void pair_changed(const char* format, int from, const char* old, int to, const char* new) {
  char full_old[PATH_MAX], full_new[PATH_MAX];
  const char* old_name = named(from, old, full_old);
  const char* new_name = named(to, new, full_new);
  if (!old_name != !new_name) abort();  // nothing here crosses the border
  if (old_name) record(NULL, 0, format, old_name, new_name);
}

#define NAMED(type, call, entry)  \
  {                               \
    pthread_mutex_lock(&mutex);   \
    const type result = call;     \
    const int error = errno;      \
    if (result == 0) entry;       \
    pthread_mutex_unlock(&mutex); \
    errno = error;                \
    return result;                \
  }

int mkdir(const char* path, mode_t mode)
    NAMED(int, REAL(mkdir)(path, mode), parent_changed("M %s\n", AT_FDCWD, path)) int unlink(const char* path)
        NAMED(int, REAL(unlink)(path), parent_changed("U %s\n", AT_FDCWD, path)) int remove(const char* path)
            NAMED(int, REAL(remove)(path),
                  parent_changed("U %s\n", AT_FDCWD, path)) int unlinkat(int directory, const char* path, int flags)
                NAMED(int, REAL(unlinkat)(directory, path, flags),
                      parent_changed("U %s\n", directory, path)) int rename(const char* old, const char* new)
                    NAMED(int, REAL(rename)(old, new),
                          pair_changed("R %s\t%s\n", AT_FDCWD, old, AT_FDCWD, new)) int link(const char* old,
                                                                                             const char* new)
                        NAMED(int, REAL(link)(old, new), pair_changed("L %s\t%s\n", AT_FDCWD, old, AT_FDCWD, new))
