// How a target says that a promise is broken, and the promise that every Error makes.
#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "spec/error.h"

namespace flowloom::fuzz {

struct Broken : std::logic_error {
  using std::logic_error::logic_error;
};

inline void require(bool kept, const std::string& promise) {
  if (!kept) throw Broken(promise);
}

// One sentence for people, and no bug of ours.
inline void require_sentence(const Error& error) {
  const std::string text = error.what();
  require(error.code() != ErrorCode::kInternal, "A refusal is no bug of ours: " + text);
  require(!text.empty() && std::string(".?!").find(text.back()) != std::string::npos, "A sentence ends: " + text);
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  require(std::none_of(text.begin(), text.end(), control), "A sentence is one line of printable text: " + text);
  require(text.size() < 4000, "A sentence has an end in sight, not " + std::to_string(text.size()) + " bytes.");
}

// What `work` returns, or nothing if it was refused as it should.
template <class Work>
auto accepted(Work work) -> std::optional<decltype(work())> {
  try {
    return work();
  } catch (const Error& error) {
    require_sentence(error);
    return {};
  }
}

}  // namespace flowloom::fuzz
