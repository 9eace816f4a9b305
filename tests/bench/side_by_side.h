// Measurements of contestants side by side: for benchmarks that print ratios.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "flow/catalog.h"
#include "spec/error.h"

namespace flowloom {

inline constexpr double kSeconds = 0.25;  // of one measurement

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

// Samples per second of `draw(count)`.
inline double rate(const std::function<void(std::size_t)>& draw, std::size_t count) {
  using Clock = std::chrono::steady_clock;
  double samples = 0, elapsed = 0;
  for (const auto start = Clock::now(); elapsed < kSeconds; samples += static_cast<double>(count)) {
    draw(count);
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return samples / elapsed;
}

// The number of samples at once, of a few, that `draw` is fastest with.
inline std::size_t best_count(const std::function<void(std::size_t)>& draw, std::size_t volume) {
  std::size_t best = 0;
  double fastest = 0;
  for (const std::size_t count : {16, 64, 256, 1024}) {
    if (best > 0 && count * volume > (1 << 18)) break;
    draw(count);
    const double found = rate(draw, count);
    if (found > fastest) fastest = found, best = count;
  }
  return best;
}

// phi^4 on a lattice and a flow of 16 affine layers, kernel 3, with its first weights.
struct Case {
  Case(const std::string& lattice_text, const std::string& hidden_text)
      : lattice(lattice_text),
        hidden(hidden_text),
        run(run_of(lattice, hidden)),
        architecture(std::get<AffineCouplingFlow>(architecture_of(run).kind())),
        theory(theory_of(run)),
        weights(architecture.initial_weights(run.noise_key())) {
    for (double& weight : weights) weight = static_cast<double>(static_cast<float>(weight));
  }

  std::string lattice, hidden;  // "8x8", "8,8"
  RunSpec run;
  AffineCouplingFlow architecture;
  AnyTheory theory;
  std::vector<double> weights;

 private:
  static RunSpec run_of(std::string extents, const std::string& hidden) {
    std::ranges::replace(extents, 'x', ',');
    return load_run_text("[run]\nname = \"bench\"\n[theory]\nkind = \"phi4\"\nlattice = [" + extents +
                             "]\nm2 = -4.0\nlambda = 8.0\n[flow]\nkind = \"affine-coupling\"\nlayers = 16\nhidden = [" +
                             hidden + "]\n[chain]\nlength = 1\n",
                         "bench");
  }
};

// What this program prints, one number, when it is called with `arguments`: in a new process, where nobody has set
// anything.
inline double measured_elsewhere(const std::string& arguments) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  FILE* child = popen(("'" + self + "' " + arguments).c_str(), "r");
  double found = 0;
  const bool read = child && std::fscanf(child, "%lf", &found) == 1;
  if (!child || pclose(child) != 0 || !read) {
    throw Error(ErrorCode::kInternal, "'" + self + " " + arguments + "' has failed.");
  }
  return found;
}

// A number of a table, a dash for zero.
inline std::string or_dash(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return value > 0 ? std::string(text) : std::string("–");
}

inline int rounds_of(const std::string& value) {
  int rounds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), rounds);
  if (error != std::errc() || *end != '\0' || rounds < 1) {
    throw Error(ErrorCode::kInvalidInput, "--rounds must be a number from 1, not " + value + ".");
  }
  return rounds;
}

// What a benchmark is asked for: [--rounds N] [--OPTION VALUE ...] [LATTICE HIDDEN ...]; without cases, all of
// `lattices` with 8,8 and with 16,16,16. `option` takes the others.
struct Wanted {
  int rounds;
  std::vector<Case> cases;
};
inline Wanted wanted_of(const std::vector<std::string>& arguments, int rounds, const std::vector<std::string>& lattices,
                        const std::function<void(const std::string& name, const std::string& value)>& option = {}) {
  if (arguments.size() % 2 != 0) {
    throw Error(ErrorCode::kInvalidInput, "Every option has a value, every lattice hidden layers.");
  }
  Wanted wanted{rounds, {}};
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (arguments[i] == "--rounds") {
      wanted.rounds = rounds_of(arguments[i + 1]);
    } else if (arguments[i].starts_with("--")) {
      if (!option)
        throw Error(ErrorCode::kInvalidInput, "There is no option " + arguments[i] + "; --rounds N is the only one.");
      option(arguments[i], arguments[i + 1]);
    } else {
      wanted.cases.emplace_back(arguments[i], arguments[i + 1]);
    }
  }
  if (wanted.cases.empty()) {
    for (const char* hidden : {"8,8", "16,16,16"}) {
      for (const std::string& lattice : lattices) wanted.cases.emplace_back(lattice, hidden);
    }
  }
  return wanted;
}

// The body of a benchmark's main().
inline int benchmark_main(const char* name, int argc, char** argv, int (*run)(std::vector<std::string> arguments)) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace flowloom
