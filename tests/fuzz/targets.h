// What is fuzzed: each target takes any bytes and keeps its promises, or throws `Broken` with the one that it broke.
// libFuzzer feeds them (libfuzzer.cc) where there is clang, and every build feeds them the kept corpus
// (fuzz_corpus_test.cc), so that what was found once stays found.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace flowloom::fuzz {

using Bytes = std::span<const std::uint8_t>;

// A run file's text: it is refused with one sentence, or what was accepted reads back as the same run.
void run_file(Bytes input);

// A checkpoint: refused with one sentence, or written and read back the same. What is allocated has a bound in its
// size.
void checkpoint(Bytes input);

// What workers, the trainer and the clock do to a coordinator, event by event: its log is the one of a plain loop.
void messages(Bytes input);

// A unit as a coordinator sends it to a client.
void states(Bytes input);

// A store whose rows were edited by another program: it is refused, or its log is whole.
void store_rows(Bytes input);

// A store whose file was damaged, with the rollback journal that a killed coordinator leaves: refused, or nothing was
// changed.
void store_file(Bytes input);

struct Target {
  const char* name;  // of the folder in corpus/
  void (*run)(Bytes);
};
inline constexpr std::array<Target, 6> kTargets{{{"run_file", run_file},
                                                 {"checkpoint", checkpoint},
                                                 {"messages", messages},
                                                 {"states", states},
                                                 {"store_rows", store_rows},
                                                 {"store_file", store_file}}};

}  // namespace flowloom::fuzz
