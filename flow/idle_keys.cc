#include "flow/idle_keys.h"

#include "lattice/theories.h"
#include "spec/error.h"

namespace flowloom {
namespace {

// Whether somebody wrote the key: one that took its default has no line of its own.
bool is_given(const Section& section, const std::string& key) { return section.where(key) != section.where("") + key; }

}  // namespace

std::map<std::string, std::string> idle_flow_keys(const RunSpec& run) {
  const std::string kind = run.flow.text("kind");
  if (kind == "affine-coupling" && run.flow.text("prior") != "free-field") {
    return {{"prior_mass2", "it is of prior = \"free-field\"; leave it out, or take that prior."}};
  }
  if (kind == "gauge-coupling" && run.flow.text("map") == "spline") {
    return {{"components", "it is of map = \"mixture\"; leave it out, or take bins."}};
  }
  if (kind == "gauge-coupling") return {{"bins", "it is of map = \"spline\"; leave it out, or take components."}};
  if (kind == "spectral-coupling" && theory_colours(make_theory(run.theory)) == 2) {
    return {{"autoregressive", "an SU(2) matrix has one eigenvalue to change; leave it out."}};
  }
  return {};
}

void refuse_idle_flow_keys(const RunSpec& run) {
  for (const auto& [key, reason] : idle_flow_keys(run)) {
    if (!is_given(run.flow, key)) continue;
    throw Error(ErrorCode::kInvalidInput, run.flow.where(key) + " does nothing here: " + reason);
  }
}

}  // namespace flowloom
