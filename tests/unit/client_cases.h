// The command line as a test calls it, and a small run for it.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "spec/error.h"

namespace flowloom {

inline constexpr char kRunFile[] = R"(
  [run]
  name = "test"
  seed = 7
  unit = 4
  engine = "lanes"
  [theory]
  kind = "phi4"
  lattice = [2, 2]
  m2 = -4.0
  lambda = 8.0
  [flow]
  kind = "affine-coupling"
  layers = 2
  hidden = [2]
  kernel = 1
  [chain]
  length = 10
  observable = "phi2"
)";

struct Outcome {
  int code = 0;
  std::string out, err;
};

inline Outcome flowloom_command(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  const int code = run_command_line(std::move(arguments), Console{out, err});
  return {code, out.str(), err.str()};
}

inline std::string refusal(std::vector<std::string> arguments, ErrorCode* code = nullptr) {
  try {
    flowloom_command(std::move(arguments));
  } catch (const Error& error) {
    if (code) *code = error.code();
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace flowloom
