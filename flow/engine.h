// What evaluates flows: an engine turns (theory, architecture, weights) into numbers.
//
// Engines are interchangeable within the tolerance of spec/numerics.h. A model's numbers for an address
// depend on the address and the weights only (with "torch" also on the size of the call, `count`, so callers that need
// the same bits ask for whole units), never on threads or on earlier calls.
//
// Threads: an Engine, a Model and an Objective may be used from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "flow/flows.h"
#include "spec/noise.h"
#include "spec/numerics.h"

namespace flowloom {

enum class Fields { kKept, kDropped };

struct Draws {
  std::vector<double> log_p;   // [sample]  -S, unnormalised
  std::vector<double> log_q;   // [sample]  normalised
  std::vector<double> sums;    // [sum][sample], the theory's columns of the log
  std::vector<double> fields;  // [sample][component][site]; empty if dropped
};

struct Densities {
  std::vector<double> log_p;       // [sample]  -S
  std::vector<double> log_q;       // [sample], by the inverse flow
  std::vector<double> round_trip;  // [sample], max over variables of |flow(inverse(field)) - field|
};

class Model {
 public:
  virtual ~Model() = default;

  // The configurations at noise addresses (key, purpose, first .. first + count - 1). NaNs come out as NaNs. Who needs
  // only their weights and sums drops the fields, the larger part of the memory.
  virtual Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count,
                     Fields fields = Fields::kKept) const = 0;

  // log_p and log_q of given configurations, `fields` [sample][component][site].
  virtual Densities densities(std::span<const double> fields) const = 0;
};

struct Gradient {
  std::vector<double> sum;    // [weight]  sum over samples of d(loss)/d(weight)
  std::vector<double> log_w;  // [sample]  log_p - log_q
};

// A loss whose slopes train a flow.
class Objective {
 public:
  virtual ~Objective() = default;

  // The reverse Kullback-Leibler divergence up to a constant, E_z[log_q + S] (arXiv:1904.12072), for samples at
  // (key, purpose train, first .. first + count - 1) under `weights`.
  virtual Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                              std::size_t count) const = 0;

  // The forward one up to a constant, E_p[-log_q], for samples of the target: `fields` [sample][component][site].
  virtual Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual std::string name() const = 0;

  // What must be equal for equal bits, besides the run's numerics: with "torch" library and machine, with "lanes"
  // nothing.
  virtual std::string build() const = 0;

  // What it runs on, for people: "cpu, avx512".
  virtual std::string device() const = 0;

  // `weights` is the flat array of `architecture`, rounded to float32 where the precision is mixed. Throws
  // `kInvalidInput` if this engine lacks a part of the architecture (`Architecture::only_torch`), as `objective` does.
  virtual std::unique_ptr<Model> model(const AnyTheory& theory, const AnyFlow& architecture,
                                       std::span<const double> weights, Precision precision) const = 0;

  virtual std::unique_ptr<Objective> objective(const AnyTheory& theory, const AnyFlow& architecture,
                                               Precision precision) const = 0;
};

// The engine of this name, opened on first use and shared. "torch" is a module, libflowloom_torch.so, looked
// for in $FLOWLOOM_ENGINE_DIR if that is set, else beside the program and in ../lib. Throws `kNotFound` with
// the remedy if it is missing, `kConflict` if it cannot be opened or belongs to another build, `kInvalidInput` for an
// unknown name. May be called from any thread.
//
// `device` is where "lanes" runs ("torch" runs on the CPU): "cpu", or one of its instruction sets as in "cpu:avx2";
// "cuda:0", a GPU by its number; "auto", the first GPU if there is one, else the CPU. The bits are the same. A GPU
// needs the module libflowloom_cuda.so.
std::shared_ptr<const Engine> open_engine(const std::string& name, const std::string& device = "cpu");

// What is wrong with a device's name, or nothing; and what such a name may be, for the help of an option.
std::string device_refusal(const std::string& device);
inline constexpr char kDeviceHelp[] =
    "Where the engine \"lanes\" runs: auto, cpu, cpu:SET as in cpu:avx2, cuda:N; the bits are the same";

// What a module's two exported functions must match (flow/module.h).
inline constexpr char kEngineInterface[] = "flowloom-engine-6";

}  // namespace flowloom
