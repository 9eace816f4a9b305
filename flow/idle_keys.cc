#include "flow/idle_keys.h"

#include "flow/flows.h"
#include "lattice/theories.h"
#include "spec/error.h"

namespace flowloom {
namespace {

// Whether somebody wrote the key: one that took its default has no line of its own.
bool is_given(const Section& section, const std::string& key) { return section.where(key) != section.where("") + key; }

using IdleKeys = std::map<std::string, std::string>;

// A flow that has such keys has an overload here.
template <class Flow>
IdleKeys idle_keys(const Flow&) {
  return {};
}

IdleKeys idle_keys(const AffineCouplingFlow& flow) {
  if (flow.prior() == Prior::kFreeField) return {};
  return {{"prior_mass2", "it is of prior = \"free-field\"; leave it out, or take that prior."}};
}

IdleKeys idle_keys(const GaugeCouplingFlow& flow) {
  if (flow.map() == CircleMap::kSpline) {
    return {{"components", "it is of map = \"mixture\"; leave it out, or take bins."}};
  }
  return {{"bins", "it is of map = \"spline\"; leave it out, or take components."}};
}

IdleKeys idle_keys(const SpectralCouplingFlow& flow) {
  if (flow.loop_channels() > 1) return {};
  return {{"autoregressive", "an SU(2) matrix has one eigenvalue to change; leave it out."}};
}

}  // namespace

std::map<std::string, std::string> idle_flow_keys(const RunSpec& run) {
  const AnyFlow flow(run.flow, make_theory(run.theory));
  return std::visit([](const auto& own) { return idle_keys(own); }, flow.kind());
}

void refuse_idle_flow_keys(const RunSpec& run) {
  for (const auto& [key, reason] : idle_flow_keys(run)) {
    if (!is_given(run.flow, key)) continue;
    throw Error(ErrorCode::kInvalidInput, run.flow.where(key) + " does nothing here: " + reason);
  }
}

}  // namespace flowloom
