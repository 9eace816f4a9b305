#include "flow/lanes/lanes_engine.h"

#include <algorithm>

#include "flow/lanes/plan.h"
#include "math/value.h"
#include "spec/error.h"

namespace flowloom {
namespace lanes {

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets = vector_instruction_sets();
  sets.push_back(portable_instruction_set());
  return sets;
}

namespace {

class LanesEngine final : public Engine {
 public:
  explicit LanesEngine(const InstructionSet& set) : set_(set) {}

  std::string name() const override { return "lanes"; }
  std::string build() const override { return kLanesBuild; }
  std::string device() const override { return "cpu, " + set_.name; }

  std::unique_ptr<Model> model(const AnyTheory& theory, const AnyFlow& architecture, std::span<const double> weights,
                               Precision precision) const override {
    refuse_what_it_lacks(architecture);
    return set_.make_model(theory, architecture, weights, precision);
  }

  std::unique_ptr<Objective> objective(const AnyTheory& theory, const AnyFlow& architecture,
                                       Precision precision) const override {
    refuse_what_it_lacks(architecture);
    return set_.make_objective(theory, architecture, precision);
  }

 private:
  static void refuse_what_it_lacks(const AnyFlow& architecture) {
    if (const std::string part = architecture->only_torch(); !part.empty()) {
      throw Error(ErrorCode::kInvalidInput, "The engine \"lanes\" has no " + part + "; use the engine \"torch\".");
    }
  }

  InstructionSet set_;
};

}  // namespace
}  // namespace lanes

std::shared_ptr<const Engine> lanes_engine() { return lanes_engine(lanes::instruction_sets().front()); }

std::shared_ptr<const Engine> lanes_engine(const lanes::InstructionSet& instruction_set) {
  return std::make_shared<lanes::LanesEngine>(instruction_set);
}

void prove_bits(const Model& model, const Model& reference, const std::string& device) {
  const auto draw = [](const Model& own) {
    Draws draws = own.draw(NoiseKey::from("flowloom proof of bits"), Purpose::kReference, 0, 2 * lanes::kLanes);
    std::vector<double> all = std::move(draws.fields);
    for (const auto* more : {&draws.log_p, &draws.log_q, &draws.sums})
      all.insert(all.end(), more->begin(), more->end());
    return all;
  };
  const std::vector<double> found = draw(model), expected = draw(reference);
  const auto same = [](double a, double b) { return bits(a) == bits(b); };
  if (std::ranges::equal(found, expected, same)) return;
  throw Error(ErrorCode::kConflict,
              "The device " + device +
                  " does not give the CPU's bits, so it must not serve a chain; use --device cpu, and "
                  "please report it.");
}

}  // namespace flowloom
