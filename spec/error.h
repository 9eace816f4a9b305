// The one exception type of Flowloom: a code for machines and a sentence for people.
//
// The sentence names the place (file, line, key, address, unit) and the remedy. Programs print it as one line
// on stderr and exit with `exit_code`; the service edge turns the code into a gRPC status (program/rpc.h).
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

namespace flowloom {

enum class ErrorCode {
  kInvalidInput,      // the user's file, argument or message is wrong: nothing was touched
  kNotFound,          // a file, version or index that does not exist
  kConflict,          // clashes with what is there: another identity, a port that is taken
  kInUse,             // owned by another process; free once that ends
  kCorrupt,           // stored bytes are not what was written
  kUnauthenticated,   // no token, or a wrong one
  kPermissionDenied,  // a known peer whose role may not do this
  kUnavailable,       // try again later: no connection, no room on the disk
  kHalted,            // the run cannot go on without a decision by its owner
  kInternal,          // a bug of ours
};

class Error : public std::runtime_error {
 public:
  // Control characters in `sentence` are escaped, and of a very long one the middle is left out.
  // `retry_after`: of what passes, when trying again may help.
  Error(ErrorCode code, const std::string& sentence, std::chrono::milliseconds retry_after = {});
  ErrorCode code() const { return code_; }
  std::chrono::milliseconds retry_after() const { return retry_after_; }

 private:
  ErrorCode code_;
  std::chrono::milliseconds retry_after_;
};

// What a program returns to the shell: 2 where the user's input is wrong and nothing was touched, 1 otherwise.
inline int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidInput:
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
    case ErrorCode::kInUse:
    case ErrorCode::kCorrupt:
      return 2;
    default:
      return 1;
  }
}

}  // namespace flowloom
