// What the core shows: the status and the list of versions.
#include <cmath>

#include "coordinator/core.h"

namespace flowloom {

using flowloom::v1::StatusReply;

flowloom::v1::ListReply Core::models() const {
  flowloom::v1::ListReply reply;
  for (const ModelRow& model : rollout_.models()) {
    auto* out = reply.add_versions();
    out->set_version(model.version);
    out->set_sha256(model.sha256.data(), model.sha256.size());
    out->set_size(model.size);
    out->set_training_step(model.training_step);
    out->set_ess(model.ess);
    out->set_origin(model.origin);
    out->set_verified(model.verified);
  }
  for (const SwitchRecord& row : rollout_.switches()) {
    auto* out = reply.add_switches();
    out->set_from(row.from);
    out->set_version(row.version);
    out->set_by_clock(row.by_clock);
  }
  return reply;
}

StatusReply Core::status(Time now) const {
  StatusReply reply;
  reply.set_name(run_.name);
  reply.set_run_id(recovered_.run_id);
  const Sha256 identity = run_.identity();
  reply.set_identity(identity.data(), identity.size());
  reply.set_epoch(recovered_.epoch);
  reply.set_proposals(durable_frontier_);
  const bool stopped = stopped_at_ && pending_.empty();  // and the log says so already
  reply.set_length(stopped ? end() : run_.length_in_units() * run_.unit);
  reply.set_head(to_hex(log_.head()));
  reply.set_numerics(run_.numerics.engine + ", " + to_string(run_.numerics.precision) + ", revision " +
                     std::to_string(run_.numerics.revision) +
                     (recovered_.pinned_build.empty() ? "" : ", " + recovered_.pinned_build));

  const std::uint64_t next = ledger_.next_fresh() * run_.unit;
  const bool version_missing = next < end() && !rollout_.version_for(next);
  const bool nothing_leased = ledger_.leased() == 0 && answers_.empty();
  if (!halted_.empty()) {
    reply.set_state(StatusReply::STATE_HALTED);
    reply.set_sentence(halted_);
  } else if (complete()) {
    reply.set_state(StatusReply::STATE_COMPLETE);
  } else if (!stalled_.empty()) {
    reply.set_state(StatusReply::STATE_STALLED);
    reply.set_sentence(stalled_ + " Granting goes on by itself once that is done; nothing is lost.");
  } else if (draining_) {
    reply.set_state(StatusReply::STATE_DRAINING);
  } else if (version_missing && nothing_leased && training_.state().starts_with("failed")) {
    reply.set_state(StatusReply::STATE_HALTED);
    reply.set_sentence(rollout_.waiting_for(next) + ", but training " + training_.state());
  } else if (version_missing && nothing_leased) {
    reply.set_state(StatusReply::STATE_WAITING);
    reply.set_sentence(rollout_.waiting_for(next));
  } else if (workers_.empty()) {
    reply.set_state(StatusReply::STATE_WAITING);
    reply.set_sentence("waiting for a worker");
  } else {
    reply.set_state(StatusReply::STATE_RUNNING);
    if (reweigh_ && !reweigh_->log_q) {
      reply.set_sentence("reweighing the current state for the switch at proposal " + std::to_string(chain_.frontier()));
    }
  }

  const auto& acceptance = statistics_.acceptance();
  const auto& weights = statistics_.weights();
  const double nan = std::nan("");
  reply.set_accepted(acceptance.accepted());
  reply.set_invalid(statistics_.invalid());
  reply.set_longest_rejection_run(acceptance.longest_run());
  reply.set_acceptance(acceptance.count() > 0 ? acceptance.rate() : nan);
  const bool weighted = weights.count() > 0 && acceptance.accepted() > 0;
  reply.set_ess(weighted ? weights.ess() : nan);
  reply.set_log_z(weighted ? weights.log_z().value : nan);
  reply.set_log_z_error(weighted ? weights.log_z().error : nan);
  if (!progress_.empty()) {
    const double seconds = std::chrono::duration<double>(now - progress_.front().first).count();
    const auto moved = static_cast<double>(durable_frontier_ - progress_.front().second);
    reply.set_proposals_per_second(seconds > 0.5 ? moved / seconds : 0.0);
  }
  reply.set_observable(statistics_.observable(run_.chain.observable).observable.name);
  for (const auto& live : statistics_.observables()) {
    auto* out = reply.add_observables();
    out->set_name(live.observable.name);
    out->set_symbol(live.observable.symbol);
    const bool known = live.defined && live.series.count() >= 2;
    const auto estimate = known ? live.series.estimate() : stats::LiveEstimate{nan, nan, nan, nan, nan, nan, 0, false};
    out->set_mean(estimate.mean);
    out->set_error(estimate.error);
    out->set_tau_int(estimate.tau_int);
  }

  *reply.mutable_models() = models();
  for (const auto& [id, worker] : workers_) {
    auto* out = reply.add_workers();
    out->set_worker(id);
    out->set_name(worker.hello.name());
    out->set_device(worker.hello.device());
    out->set_leased_units(ledger_.leased(id));
    out->set_answered_units(worker.answered);
    out->set_expired_units(worker.expired);
    out->set_failures(worker.failures);
    for (const std::uint32_t version : worker.ready) out->add_ready_versions(version);
    out->set_connected_seconds(std::chrono::duration<double>(now - worker.since).count());
  }
  *reply.mutable_training() = training_;

  reply.add_notes("Nothing is discarded as burn-in; the chain starts at the first valid proposal.");
  for (const SwitchRecord& row : rollout_.switches()) {
    if (!row.by_clock) continue;
    reply.add_notes("Version " + std::to_string(row.version) + " was placed by the clock at proposal " +
                    std::to_string(row.from) + ": exact as far as arrival times are independent of the values.");
  }
  if (stopped) reply.add_notes("The data chose the length: the chain stopped at an 'until' test.");
  if (statistics_.invalid() > 0) {
    const double share = static_cast<double>(statistics_.invalid()) / static_cast<double>(durable_frontier_);
    reply.add_notes("Invalid proposals (not finite), all rejected: " + std::to_string(statistics_.invalid()) + " (" +
                    std::to_string(100.0 * share) + " %).");
  }
  return reply;
}

}  // namespace flowloom
