#include "lattice/theories.h"

#include <algorithm>
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

struct ReadNumbers {
  const double* field;
  std::size_t sites;
  double operator()(std::size_t component, std::size_t site) const { return field[component * sites + site]; }
};

// Calls visit(cursor) at every site of a configuration.
template <class Theory, class Visit>
void for_each_site(const Theory& theory, std::span<const double> field, Visit visit) {
  const std::size_t sites = theory.geometry().sites();
  const Neighbours neighbours(theory.geometry());
  for (std::size_t x = 0; x < sites; ++x) visit(Cursor(ReadNumbers{field.data(), sites}, neighbours.steps(), x));
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

std::vector<std::int64_t> theory_shape(const AnyTheory& theory) {
  std::vector<std::int64_t> shape = theory_geometry(theory).extents();
  const std::size_t components = std::visit([](const auto& t) { return t.components(); }, theory);
  if (components > 1) shape.insert(shape.begin(), static_cast<std::int64_t>(components));
  return shape;
}

std::vector<double> theory_sums_of(const AnyTheory& theory, std::span<const double> field) {
  return std::visit(
      [&]<class Theory>(const Theory& t) {
        std::vector<double> sums(Theory::kSums);
        for_each_site(t, field, [&](const auto& x) {
          const auto local = LocalDensities<Theory>::at(x);
          for (std::size_t k = 0; k < local.size(); ++k) sums[k] += local[k];
        });
        if constexpr (GlobalSums<Theory>::kCount > 0) {
          const GlobalSums<Theory> global(t);
          std::vector<double> work(global.cells_for_sums());
          const auto found = global.template at<double>(ReadNumbers{field.data(), t.geometry().sites()}, work.data());
          std::ranges::copy(found, sums.begin() + kLocalSums<Theory>);
        }
        return sums;
      },
      theory);
}

std::vector<double> theory_force(const AnyTheory& theory, std::span<const double> field) {
  return std::visit(
      [&]<class Theory>(const Theory& t) {
        std::vector<double> force(field.size());
        const std::size_t sites = t.geometry().sites();
        const auto add = [&](std::size_t component, std::size_t site, double slope) {
          force[component * sites + site] += slope;
        };
        for_each_site(t, field, [&](const auto& x) {
          LocalDensities<Theory>::pull_back(
              x, t.action().template slopes_from<kLocalSums<Theory>>(0),
              [&](const auto& place, std::size_t component, double slope) { add(component, place.site(), slope); });
        });
        if constexpr (GlobalSums<Theory>::kCount > 0) {
          const GlobalSums<Theory> global(t);
          std::vector<double> work(global.cells_for_slopes());
          global.template pull_back<double>(t.action().template slopes_from<global.kCount>(kLocalSums<Theory>),
                                            ReadNumbers{field.data(), sites}, work.data(), add);
        }
        return force;
      },
      theory);
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
