#include "chain/status_reply.h"

#include <cstdio>
#include <limits>

namespace flowloom {
namespace {

void set_figures(v1::StatusReply& reply, const ChainStatistics& statistics) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto& acceptance = statistics.acceptance();
  const auto& weights = statistics.weights();
  const bool weighted = weights.count() > 0 && acceptance.accepted() > 0;
  reply.set_accepted(acceptance.accepted());
  reply.set_invalid(statistics.invalid());
  reply.set_longest_rejection_run(acceptance.longest_run());
  reply.set_acceptance(acceptance.count() > 0 ? acceptance.rate() : kNan);
  reply.set_ess(weighted ? weights.ess() : kNan);
  reply.set_log_z(weighted ? weights.log_z().value : kNan);
  reply.set_log_z_error(weighted ? weights.log_z().error : kNan);
  for (const auto& live : statistics.observables()) {
    auto* out = reply.add_observables();
    out->set_name(live.observable.name);
    out->set_symbol(live.observable.symbol);
    const bool known = live.defined && live.series.count() >= 2;
    const auto estimate =
        known ? live.series.estimate() : stats::LiveEstimate{.mean = kNan, .error = kNan, .tau_int = kNan};
    out->set_mean(estimate.mean);
    out->set_error(estimate.error);
    out->set_tau_int(estimate.tau_int);
  }
}

void add_notes(v1::StatusReply& reply, const ChainEnd& end) {
  reply.add_notes("Nothing is discarded as burn-in; the chain starts at the first valid proposal.");
  for (const auto& row : reply.models().switches()) {
    if (!row.by_clock()) continue;
    reply.add_notes("Version " + std::to_string(row.version()) + " was placed by the clock at proposal " +
                    std::to_string(row.from()) + ": exact as far as arrival times are independent of the values.");
  }
  if (end.chosen_by_data()) reply.add_notes("The data chose the length: the chain stopped at an 'until' test.");
  const bool poor = reply.ess() < 0.05;
  const bool stuck = reply.proposals() > 0 && reply.longest_rejection_run() > reply.proposals() / 100;
  if (reply.proposals() >= 1000 && (poor || stuck)) {
    char text[192];
    std::snprintf(
        text, sizeof text,
        "The flow is poor (ESS %.3g, longest rejection run %llu): rare large weights may not have been seen yet, and "
        "errors be too small. Train longer, and compare with another method.",
        reply.ess(), static_cast<unsigned long long>(reply.longest_rejection_run()));
    reply.add_notes(text);
  }
  for (const EventRecord& decision : end.decisions()) {
    reply.add_notes("At proposal " + std::to_string(decision.at) + " " + decision.text +
                    ". Exact only if that decision did not look at the chain.");
  }
  if (reply.invalid() > 0) {
    const double share = static_cast<double>(reply.invalid()) / static_cast<double>(reply.proposals());
    reply.add_notes("Invalid proposals (not finite), all rejected: " + std::to_string(reply.invalid()) + " (" +
                    std::to_string(100.0 * share) + " %).");
  }
}

}  // namespace

v1::ListReply list_reply(const std::vector<ModelRow>& models, const std::vector<SwitchRecord>& switches) {
  v1::ListReply reply;
  for (const ModelRow& model : models) {
    auto* out = reply.add_versions();
    out->set_version(model.version);
    out->set_sha256(model.sha256.data(), model.sha256.size());
    out->set_size(model.size);
    out->set_training_step(model.training_step);
    out->set_ess(model.ess);
    out->set_origin(model.origin);
    out->set_verified(model.verified);
  }
  for (const SwitchRecord& row : switches) {
    auto* out = reply.add_switches();
    out->set_from(row.from);
    out->set_version(row.version);
    out->set_by_clock(row.by_clock);
  }
  return reply;
}

v1::StatusReply chain_status(const RunSpec& run, const std::string& run_id, const std::string& pinned_build,
                             const ChainStatistics& statistics, const ChainEnd& end, v1::ListReply models) {
  v1::StatusReply reply;
  reply.set_name(run.name);
  reply.set_run_id(run_id);
  const Sha256 identity = run.identity();
  reply.set_identity(identity.data(), identity.size());
  reply.set_proposals(statistics.proposals());
  reply.set_length(end.index());
  reply.set_numerics(run.numerics.engine + ", " + to_string(run.numerics.precision) + ", revision " +
                     std::to_string(run.numerics.revision) + (pinned_build.empty() ? "" : ", " + pinned_build));
  reply.set_observable(statistics.observable(run.chain.observable).observable.name);
  *reply.mutable_models() = std::move(models);
  set_figures(reply, statistics);
  add_notes(reply, end);
  return reply;
}

}  // namespace flowloom
