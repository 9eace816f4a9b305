#include "client/offline_status.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chain/statistics.h"

namespace flowloom {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr char kUntilEvent[] = "the length was chosen by the data";  // docs/log-format.md

// Follows the log for the one thing that its units do not say: whether an `until` ended the chain where it
// ends now.
class UntilStop {
 public:
  void add(const Record& record) {
    if (std::holds_alternative<UnitRecord>(record)) stopped_ = false;
    const auto* event = std::get_if<EventRecord>(&record);
    if (event && event->text.starts_with(kUntilEvent)) stopped_ = true;
  }
  bool stopped() const { return stopped_; }

 private:
  bool stopped_ = false;
};

std::string numerics_text(const Store& store, const RunSpec& run) {
  const std::string build = store.pinned_build();
  return run.numerics.engine + ", " + to_string(run.numerics.precision) + ", revision " +
         std::to_string(run.numerics.revision) + (build.empty() ? "" : ", " + build);
}

void set_figures(v1::StatusReply& reply, const ChainStatistics& statistics) {
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

void add_notes(v1::StatusReply& reply, bool stopped_by_data) {
  reply.add_notes("Nothing is discarded as burn-in; the chain starts at the first valid proposal.");
  for (const auto& row : reply.models().switches()) {
    if (!row.by_clock()) continue;
    reply.add_notes("Version " + std::to_string(row.version()) + " was placed by the clock at proposal " +
                    std::to_string(row.from()) +
                    ": exact as far as arrival times are independent of the values.");
  }
  if (stopped_by_data) reply.add_notes("The data chose the length: the chain stopped at an 'until' test.");
  if (reply.invalid() > 0) {
    const double share = static_cast<double>(reply.invalid()) / static_cast<double>(reply.proposals());
    reply.add_notes("Invalid proposals (not finite), all rejected: " + std::to_string(reply.invalid()) +
                    " (" + std::to_string(100.0 * share) + " %).");
  }
}

std::uint64_t full_length(const RunSpec& run) { return run.length_in_units() * run.unit; }

}  // namespace

std::uint64_t chain_end(const Store& store, const RunSpec& run) {
  if (!run.chain.until || store.size() == 0) return full_length(run);
  constexpr std::int64_t kTail = 16;  // an `until` event is the last record, or nearly
  UntilStop stop;
  store.for_each(std::max<std::int64_t>(1, store.size() - kTail), [&](const LinkedRecord& linked) {
    stop.add(linked.record);
    return true;
  });
  return stop.stopped() ? std::min(store.frontier(), full_length(run)) : full_length(run);
}

v1::ListReply offline_models(const Store& store) {
  v1::ListReply reply;
  for (const ModelRow& model : store.models()) {
    auto* out = reply.add_versions();
    out->set_version(model.version);
    out->set_sha256(model.sha256.data(), model.sha256.size());
    out->set_size(model.size);
    out->set_training_step(model.training_step);
    out->set_ess(model.ess);
    out->set_origin(model.origin);
    out->set_verified(model.verified);
  }
  for (const SwitchRecord& row : store.switches()) {
    auto* out = reply.add_switches();
    out->set_from(row.from);
    out->set_version(row.version);
    out->set_by_clock(row.by_clock);
  }
  return reply;
}

v1::StatusReply offline_status(const Store& store, const RunSpec& run) {
  ChainStatistics statistics(make_theory(run.theory));
  UntilStop stop;
  store.for_each(1, [&](const LinkedRecord& linked) {
    if (const auto* unit = std::get_if<UnitRecord>(&linked.record)) statistics.add(*unit);
    stop.add(linked.record);
    return true;
  });
  const bool stopped = stop.stopped() && run.chain.until.has_value();

  v1::StatusReply reply;
  reply.set_name(run.name);
  reply.set_run_id(store.run_id());
  const Sha256 identity = store.identity();
  reply.set_identity(identity.data(), identity.size());
  reply.set_proposals(statistics.proposals());
  reply.set_length(stopped ? std::min(statistics.proposals(), full_length(run)) : full_length(run));
  reply.set_head(to_hex(store.head()));
  reply.set_numerics(numerics_text(store, run));
  const bool complete = reply.proposals() >= reply.length();
  reply.set_state(complete ? v1::StatusReply::STATE_COMPLETE : v1::StatusReply::STATE_UNSPECIFIED);
  if (!complete) reply.set_sentence("nobody computes it now; 'flowloom up' with this directory goes on");
  reply.set_observable(statistics.observable(run.chain.observable).observable.name);
  set_figures(reply, statistics);
  *reply.mutable_models() = offline_models(store);
  add_notes(reply, stopped);
  return reply;
}

}  // namespace flowloom
