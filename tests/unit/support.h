// What the tests of several folders need.
#pragma once

#include <string>

#include "flow/engine.h"
#include "spec/error.h"

namespace flowloom {

inline const Engine& lane_engine() {
  static const auto engine = open_engine("lanes");
  return *engine;
}

inline const Engine& torch() {
  static const auto engine = open_engine("torch");
  return *engine;
}

// The sentence that `action` fails with; the code goes to `code`. Empty if it does not fail.
template <class Action>
std::string sentence_of(Action action, ErrorCode* code = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (code) *code = error.code();
    return error.what();
  }
  return "";
}

}  // namespace flowloom
