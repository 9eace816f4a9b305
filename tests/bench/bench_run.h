// The folder of a run with an untrained flow, for benchmarks: in the working directory, empty at first, gone at the
// end.
#pragma once

#include <filesystem>
#include <string>

#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "program/run_directory.h"
#include "spec/files.h"

namespace flowloom {

// phi^4 with a small flow: what the store and the protocol cost does not depend on it. Units of 1024 with four sums.
inline constexpr char kSmallRun[] =
    "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4.0\nlambda = 8.0\n"
    "[flow]\nkind = \"affine-coupling\"\nlayers = 2\n";

class BenchRun {
 public:
  // `sections`: [theory], [flow] and [train] of the run file. With `serving`, the untrained flow is the chain's
  // version; without, nothing is to be sampled.
  BenchRun(const std::string& name, const std::string& sections, bool serving, const std::string& chain_keys = "")
      : base_(std::filesystem::current_path() / (name + "_bench.tmp")), directory_(base_ / "run") {
    std::filesystem::remove_all(base_);
    std::filesystem::create_directories(base_);
    const std::string text =
        "[run]\nname = \"bench\"\nengine = \"lanes\"\n" + sections + "[chain]\nlength = 1000000000000\n" + chain_keys +
        "versions = [{ from = 0, when = " + (serving ? "{ file = \"model.safetensors\" }" : "\"trained\"") + " }]\n";
    run_ = load_run_text(text, "bench");
    Checkpoint checkpoint{
        run_.theory, run_.flow, run_.numerics.precision, 0, architecture_of(run_)->initial_weights(run_.noise_key()),
        {}};
    add_references(checkpoint, *open_engine("lanes"));
    write_file_atomically(base_ / "model.safetensors", checkpoint.bytes());
    write_file_atomically(run_file(), text);
  }
  ~BenchRun() { std::filesystem::remove_all(base_); }
  BenchRun(const BenchRun&) = delete;
  BenchRun& operator=(const BenchRun&) = delete;

  const RunSpec& run() const { return run_; }
  const RunDirectory& directory() const { return directory_; }
  std::filesystem::path run_file() const { return base_ / "run.toml"; }
  std::filesystem::path output() const { return base_ / "output.log"; }  // of a program that serves it

 private:
  std::filesystem::path base_;
  RunDirectory directory_;
  RunSpec run_;
};

}  // namespace flowloom
