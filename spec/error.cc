#include "spec/error.h"

#include <cstdio>

namespace flowloom {
namespace {

// One line that a terminal shows as it is, whatever the pieces of a file or a message that were put into it; of a very
// long one the middle is left out.
std::string one_line(const std::string& sentence) {
  constexpr std::size_t kEnd = 800;
  std::string text;
  for (const char c : sentence) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      text += c;
    } else if (c == '\n') {
      text += "\\n";
    } else {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      text += escape;
    }
  }
  if (text.size() <= 3 * kEnd) return text;
  const auto splits_character = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  std::size_t begin = kEnd, end = text.size() - kEnd;
  while (begin > 0 && splits_character(begin)) --begin;
  while (end < text.size() && splits_character(end)) ++end;
  return text.substr(0, begin) + " … " + text.substr(end);
}

}  // namespace

Error::Error(ErrorCode code, const std::string& sentence, std::chrono::milliseconds retry_after)
    : std::runtime_error(one_line(sentence)), code_(code), retry_after_(retry_after) {}

}  // namespace flowloom
