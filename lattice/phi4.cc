#include "lattice/phi4.h"

#include <cmath>

#include "spec/error.h"

namespace flowloom {
namespace {

void check(const RunSpec& run) {
  try {
    Geometry(run.theory.integers("lattice"));
  } catch (const Error& error) {
    throw Error(error.code(), run.theory.where("lattice") + ": " + error.what());
  }
  const bool form_a = run.theory.text("form") == "A";
  for (const char* key : {"m2", "beta"}) {
    const bool wanted = (key == std::string("m2")) == form_a;
    if (run.theory.has(key) && !wanted) {
      throw Error(ErrorCode::kInvalidInput, run.theory.where(key) + ": form " + (form_a ? "A" : "B") +
                                                " of the action has no '" + key + "'; its keys are " +
                                                (form_a ? "m2 and lambda" : "beta and lambda") + ".");
    }
    if (!run.theory.has(key) && wanted) {
      throw Error(ErrorCode::kInvalidInput,
                  run.theory.where(key) + " is missing: form " + (form_a ? "A" : "B") + " of the action needs it.");
    }
  }
  const auto dimensions = static_cast<double>(run.theory.integers("lattice").size());
  const bool falls = form_a ? run.theory.real("m2") <= 0 : run.theory.real("beta") * dimensions >= 1;
  if (run.theory.real("lambda") == 0 && falls) {
    throw Error(ErrorCode::kInvalidInput,
                run.theory.where("lambda") +
                    " = 0: the action has no minimum and the theory does not exist; take lambda > 0" +
                    (form_a ? " or m2 > 0." : ", or beta below 1 / dimensions."));
  }
}

}  // namespace

const Kind& Phi4::kind() {
  static const Kind kKind{
      .name = "phi4",
      .sentence = "Real scalar phi^4 theory in 1 to 6 dimensions.",
      .keys =
          {{.name = "lattice",
            .type = KeyType::kIntegers,
            .sentence = "Extents in sites, periodic.",
            .required = true,
            .min = 2,
            .max = 4096,
            .min_size = 1,
            .max_size = 6},
           {.name = "form",
            .type = KeyType::kText,
            .sentence = "A: S = sum -2 phi phi' + (2d + m2) phi^2 + lambda phi^4. "
                        "B: S = sum -beta phi phi' + phi^2 + lambda (phi^2 - 1)^2.",
            .default_value = "A",
            .choices = {"A", "B"}},
           {.name = "m2",
            .type = KeyType::kReal,
            .sentence = "Form A: the bare mass squared, in lattice units.",
            .min = -1e6,
            .max = 1e6},
           {.name = "beta", .type = KeyType::kReal, .sentence = "Form B: the hopping parameter.", .min = 0, .max = 1e6},
           {.name = "lambda",
            .type = KeyType::kReal,
            .sentence = "The quartic coupling.",
            .required = true,
            .min = 0,
            .max = 1e6}},
      .check = check,
  };
  return kKind;
}

Phi4::Phi4(const Section& section) : geometry_(section.integers("lattice")) {
  const double lambda = section.real("lambda");
  quartic_ = lambda;
  if (section.text("form") == "A") {
    hopping_ = -2.0;
    square_ = 2.0 * static_cast<double>(geometry_.dimensions()) + section.real("m2");
  } else {
    hopping_ = -section.real("beta");
    square_ = 1.0 - 2.0 * lambda;
    constant_ = lambda * static_cast<double>(geometry_.sites());
  }
}

const std::array<SumInfo, Phi4::kSums>& Phi4::sums() {
  static const std::array<SumInfo, kSums> kInfos{{
      {"hopping", "sum over x and mu of phi(x) phi(x+mu)"},
      {"phi2_sum", "sum over x of phi(x)^2"},
      {"phi4_sum", "sum over x of phi(x)^4"},
      {"phi_sum", "sum over x of phi(x)"},
  }};
  return kInfos;
}

std::vector<Observable> Phi4::observables() const {
  const double volume = static_cast<double>(geometry_.sites());
  using Sums = SumsOf;
  return {
      {"chi2", "χ₂", "V M^2 with M = (1/V) sum phi", [=](double, Sums s) { return s[3] * s[3] / volume; }},
      {"abs_m", "⟨|M|⟩", "|M|", [=](double, Sums s) { return std::abs(s[3]) / volume; }},
      {"m", "⟨M⟩", "M", [=](double, Sums s) { return s[3] / volume; }},
      {"m2", "⟨M²⟩", "M^2", [=](double, Sums s) { return s[3] * s[3] / (volume * volume); }},
      {"phi2", "⟨φ²⟩", "(1/V) sum phi^2", [=](double, Sums s) { return s[1] / volume; }},
      {"phi4", "⟨φ⁴⟩", "(1/V) sum phi^4", [=](double, Sums s) { return s[2] / volume; }},
      {"hopping", "⟨φφ'⟩", "(1/V) sum_{x,mu} phi(x) phi(x+mu)", [=](double, Sums s) { return s[0] / volume; }},
      {"action", "⟨S⟩", "the action, constant included", [](double log_p, Sums) { return -log_p; }},
  };
}

std::optional<double> Phi4::exact(const std::string& observable) const {
  if (observable == "m") return 0;
  return {};
}

}  // namespace flowloom
