#include "flow/flows.h"

namespace flowloom {
namespace {

template <std::size_t I = 0>
AnyFlow::Kinds make(const Section& section, const std::string& name, const AnyTheory& theory) {
  using Flow = std::variant_alternative_t<I, AnyFlow::Kinds>;
  if (Flow::kind().name == name) return Flow(section, theory);
  if constexpr (I + 1 < std::variant_size_v<AnyFlow::Kinds>) return make<I + 1>(section, name, theory);
  throw Error(ErrorCode::kInvalidInput, section.where("kind") + ": this build has no flow \"" + name + "\".");
}

FieldType field_type_of(const AnyTheory& theory) {
  return std::visit([]<class Theory>(const Theory&) { return Theory::kFieldType; }, theory);
}

// Calls visit(a flow's type) for each of them.
template <class Visit>
void for_each_flow(Visit visit) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (visit(std::type_identity<std::variant_alternative_t<I, AnyFlow::Kinds>>()), ...);
  }(std::make_index_sequence<std::variant_size_v<AnyFlow::Kinds>>());
}

// Refuses a flow that acts on other variables than the theory's.
void check_fit(const RunSpec& run, FieldType acts_on) {
  const FieldType field = field_type_of(make_theory(run.theory));
  if (acts_on == field) return;
  std::vector<std::string> fitting;
  for_each_flow([&]<class Flow>(std::type_identity<Flow>) {
    if (Flow::kFieldType == field) fitting.push_back('"' + Flow::kind().name + '"');
  });
  throw Error(ErrorCode::kInvalidInput, run.flow.where("kind") + " = \"" + run.flow.text("kind") +
                                            "\" does not act on the variables of the theory \"" +
                                            run.theory.text("kind") + "\"; use " + join_or(fitting) + ".");
}

}  // namespace

AnyFlow::AnyFlow(const Section& flow, const AnyTheory& theory) : kind_(make(flow, flow.text("kind"), theory)) {}

std::vector<Kind> flow_kinds() {
  std::vector<Kind> kinds;
  for_each_flow([&]<class Flow>(std::type_identity<Flow>) {
    Kind kind = Flow::kind();
    kind.check = [own = kind.check](const RunSpec& run) {
      check_fit(run, Flow::kFieldType);
      if (own) own(run);
    };
    kinds.push_back(std::move(kind));
  });
  return kinds;
}

}  // namespace flowloom
