// Takes an input apart into numbers and pieces; past its end everything is zero or empty.
#pragma once

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "targets.h"

namespace flowloom::fuzz {

class Input {
 public:
  explicit Input(Bytes bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  template <class Number = std::uint8_t>
  Number number() {
    Number value = 0;
    const Bytes bytes = take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  // One of `n` things; one byte says which.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : number() % n; }

  // Its length, two bytes, then so many.
  std::string piece() {
    const Bytes bytes = take(number<std::uint16_t>());
    return std::string(bytes.begin(), bytes.end());
  }

 private:
  Bytes take(std::size_t n) {
    const Bytes bytes = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(bytes.size());
    return bytes;
  }

  Bytes rest_;
};

// A message, or nothing if the bytes are none; protobuf says why on stderr, too often.
template <class Message>
std::optional<Message> parse(const std::string& bytes) {
  static const google::protobuf::LogSilencer kSilent;
  Message message;
  if (!message.ParseFromString(bytes)) return {};
  return message;
}

}  // namespace flowloom::fuzz
