#include "lattice/theories.h"

#include <optional>
#include <utility>

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
