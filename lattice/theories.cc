#include "lattice/theories.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lattice/hmc_action.h"
#include "spec/error.h"

namespace flowloom {
namespace {

template <std::size_t... I>
std::vector<Kind> kinds(std::index_sequence<I...>) {
  return {std::variant_alternative_t<I, AnyTheory>::kind()...};
}

template <std::size_t I = 0>
AnyTheory make(const Section& theory, const std::string& name) {
  using Theory = std::variant_alternative_t<I, AnyTheory>;
  if (Theory::kind().name == name) return Theory(theory);
  if constexpr (I + 1 < std::variant_size_v<AnyTheory>) return make<I + 1>(theory, name);
  throw Error(ErrorCode::kInvalidInput, theory.where("kind") + ": this build has no theory \"" + name + "\".");
}

}  // namespace

AnyTheory make_theory(const Section& theory) { return make(theory, theory.text("kind")); }

std::vector<Kind> theory_kinds() { return kinds(std::make_index_sequence<std::variant_size_v<AnyTheory>>()); }

std::vector<SumInfo> theory_sums(const AnyTheory& theory) {
  return std::visit([](const auto& t) { return std::vector<SumInfo>(t.sums().begin(), t.sums().end()); }, theory);
}

std::vector<Observable> theory_observables(const AnyTheory& theory) {
  return std::visit([](const auto& t) { return t.observables(); }, theory);
}

const Geometry& theory_geometry(const AnyTheory& theory) {
  return std::visit([](const auto& t) -> const Geometry& { return t.geometry(); }, theory);
}

std::size_t theory_variables(const AnyTheory& theory) {
  return std::visit([](const auto& t) { return variables_of(t); }, theory);
}

int theory_colours(const AnyTheory& theory) {
  return std::visit(
      []<class Theory>(const Theory&) {
        if constexpr (Theory::kFieldType == FieldType::kMatrix) {
          return Theory::kColours;
        } else {
          return 1;
        }
      },
      theory);
}

std::vector<std::int64_t> theory_shape(const AnyTheory& theory) {
  std::vector<std::int64_t> shape = theory_geometry(theory).extents();
  const std::size_t components = std::visit([](const auto& t) { return t.components(); }, theory);
  if (components > 1) shape.insert(shape.begin(), static_cast<std::int64_t>(components));
  return shape;
}

std::function<std::vector<double>(std::span<const double>)> theory_sums_function(const AnyTheory& theory) {
  return std::visit(
      [](const auto& t) -> std::function<std::vector<double>(std::span<const double>)> {
        return [action = TheoryAction(t)](std::span<const double> field) {
          const auto sums = action.sums(field);
          return std::vector<double>(sums.begin(), sums.end());
        };
      },
      theory);
}

std::vector<double> theory_sums_of(const AnyTheory& theory, std::span<const double> field) {
  return theory_sums_function(theory)(field);
}

std::vector<double> theory_force(const AnyTheory& theory, std::span<const double> field) {
  std::vector<double> force(field.size());
  std::visit([&](const auto& t) { TheoryAction(t).slopes(field, force); }, theory);
  return force;
}

double theory_log_p(const AnyTheory& theory, std::span<const double> sums) {
  return std::visit([&](const auto& t) { return log_target(t, sums, 1, 0); }, theory);
}

Observable find_observable(const AnyTheory& theory, const std::string& name) {
  std::vector<std::string> names;
  for (const Observable& observable : theory_observables(theory)) {
    if (name.empty() || observable.name == name) return observable;
    names.push_back(observable.name);
  }
  const auto guess = did_you_mean(name, names);
  throw Error(ErrorCode::kInvalidInput,
              "there is no observable '" + name + "'" +
                  (guess ? "; did you mean '" + *guess + "'?" : "; there are " + join_or(names) + "."));
}

}  // namespace flowloom
