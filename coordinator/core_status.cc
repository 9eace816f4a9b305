// What the core shows: the status and the list of versions.
#include <algorithm>
#include <cmath>
#include <span>

#include "chain/status_reply.h"
#include "coordinator/core.h"

namespace flowloom {

using flowloom::v1::StatusReply;
using flowloom::v1::TrainingReport;

flowloom::v1::ListReply Core::models() const { return list_reply(rollout_.models(), rollout_.switches()); }

// Why no connected worker can serve a version that is needed now; empty if one can, or may yet.
std::string Core::nobody_can_serve() const {
  const std::uint64_t next = ledger_.next_fresh() * run_.unit;
  std::string sentence;
  for (const std::uint32_t version : rollout_.serving(next)) {
    std::string reason;
    for (const auto& [id, worker] : workers_) {
      const auto refused = worker.refused.find(version);
      reason = refused == worker.refused.end() ? "" : refused->second;
      if (reason.empty()) break;
    }
    if (reason.empty()) return "";
    if (sentence.empty()) sentence = "no worker can serve version " + std::to_string(version) + ": " + reason;
  }
  if (sentence.empty()) return "";
  if (rollout_.version_for(next)) return sentence + " Connect a worker that can.";
  return sentence + " Connect a worker that can, or " +
         (run_.chain.asap ? "publish another version."
                          : "name another checkpoint for it in [chain] versions and start again.");
}

void Core::add_versions(const Worker& worker, flowloom::v1::WorkerStatus& status) const {
  constexpr std::size_t kShown = 16;
  using flowloom::v1::Loading;
  using flowloom::v1::VersionOnWorker;
  const auto needed = rollout_.needed(chain_.frontier());
  const auto next = rollout_.version_for(ledger_.next_fresh() * run_.unit);
  const auto now = rollout_.version_for(chain_.frontier());
  const auto state = [&](std::uint32_t version) {
    if (worker.refused.contains(version)) return VersionOnWorker::STATE_FAILED;
    if (std::ranges::count(needed, version) == 0) return VersionOnWorker::STATE_RETIRED;
    if (std::ranges::count(worker.ready, version) > 0)
      return version == next || version == now ? VersionOnWorker::STATE_ACTIVE : VersionOnWorker::STATE_WARM;
    const auto step = worker.loading.find(version);
    if (step == worker.loading.end()) return VersionOnWorker::STATE_OFFERED;
    return step->second == Loading::STEP_VERIFIED ? VersionOnWorker::STATE_VERIFIED : VersionOnWorker::STATE_FETCHED;
  };
  const std::size_t left_out = worker.prepared.size() - std::min(worker.prepared.size(), kShown);
  for (const std::uint32_t version : std::span(worker.prepared).subspan(left_out)) {
    auto* out = status.add_versions();
    out->set_version(version);
    out->set_state(state(version));
    if (const auto reason = worker.refused.find(version); reason != worker.refused.end())
      out->set_sentence(reason->second);
  }
}

// Where units cannot be decided for want of a worker; empty if there are none.
std::string Core::dispute() const {
  const auto found = jury_.dispute();
  const bool may_come = std::ranges::any_of(
      workers_, [&](const auto& entry) { return !entry.second.silent && ledger_.running(entry.first); });
  if (!found || may_come) return "";
  return "workers " + std::to_string(found->one) + " and " + std::to_string(found->other) + " disagree about unit " +
         std::to_string(found->unit) + "; a third worker is needed to decide";
}

// Which workers do not answer; empty if all do.
std::string Core::silence() const {
  const auto silent = [](const auto& entry) { return entry.second.silent; };
  const auto first = std::ranges::find_if(workers_, silent);
  if (first == workers_.end()) return "";
  const auto others = std::ranges::count_if(workers_, silent) - 1;
  const std::string name = "worker " + std::to_string(first->first) + ", '" + first->second.hello.name() + "',";
  if (others == 0) return name + " does not answer: its leases expired; start it again if it hangs";
  return name + " and " + std::to_string(others) + " more do not answer: their leases expired; start again what hangs";
}

std::string Core::rechecking() const {
  if (recheck_.doubtful()) {
    return "drawing again what stands on the word of workers in quarantine alone, " +
           std::to_string(recheck_.checked()) + " units so far";
  }
  return recheck_.under_way()
             ? "drawing a sample of the chain's units again, " + std::to_string(recheck_.checked()) + " so far"
             : "";
}

void Core::set_state(StatusReply& reply) const {
  const auto set = [&](StatusReply::State state, const std::string& sentence = "") {
    reply.set_state(state);
    reply.set_sentence(sentence);
  };
  const std::uint64_t next = ledger_.next_fresh() * run_.unit;
  const bool nothing_to_do = ledger_.running() == 0 && answers_.empty();
  const bool version_missing = next < end_.index() && !rollout_.version_for(next) && nothing_to_do;
  // A trainer that starts together with this coordinator needs a moment.
  const bool is_new = progress_.empty() || progress_.back().first - progress_.front().first < std::chrono::seconds(4);
  if (!halted_.empty()) return set(StatusReply::STATE_HALTED, halted_);
  if (complete() && !recheck_.under_way()) return set(StatusReply::STATE_COMPLETE);
  if (!stalled_.empty()) {
    return set(StatusReply::STATE_STALLED,
               stalled_ + " Granting goes on by itself once that is done; nothing is lost.");
  }
  if (draining_) return set(StatusReply::STATE_DRAINING);
  if (version_missing && training_.state() == TrainingReport::STATE_FAILED) {
    return set(StatusReply::STATE_HALTED,
               "The chain was " + rollout_.waiting_for(next) + ", but training failed. " + training_.sentence());
  }
  if (const std::string reason = nobody_can_serve(); nothing_to_do && !reason.empty()) {
    return set(StatusReply::STATE_WAITING, reason);
  }
  if (version_missing) {
    const auto& training = reply.training();
    std::string sentence = rollout_.waiting_for(next);
    if (is_silent(training)) {
      sentence += ", but no trainer has reported for " + std::to_string(std::lround(training.silent_seconds())) +
                  " seconds; is flowloom-server running?";
    } else if (rollout_.serving(next).empty() && training.state() == TrainingReport::STATE_UNSPECIFIED && !is_new) {
      sentence += ", but no trainer has reported yet; is flowloom-server running?";
    }
    return set(StatusReply::STATE_WAITING, sentence);
  }
  if (workers_.empty()) {
    return set(StatusReply::STATE_WAITING,
               quarantined_.empty() ? "waiting for a worker"
                                    : "waiting for another worker: '" + quarantined_.begin()->first +
                                          "' is in quarantine, because " + quarantined_.begin()->second.reason());
  }
  if (const std::string sentence = dispute(); !sentence.empty()) return set(StatusReply::STATE_WAITING, sentence);
  std::string sentence = rechecking();
  if (reweigh_ && !reweigh_->log_q())
    sentence = "reweighing the current state for the switch at proposal " + std::to_string(chain_.frontier());
  if (const std::string silent = silence(); !silent.empty()) sentence += (sentence.empty() ? "" : "; ") + silent;
  const bool somebody = std::ranges::any_of(workers_, [](const auto& entry) { return !entry.second.silent; });
  set(somebody ? StatusReply::STATE_RUNNING : StatusReply::STATE_WAITING, sentence);
}

StatusReply Core::status(Time now) {
  catch_up();
  StatusReply reply = chain_status(run_, run_id_, durable_build_, durable_.statistics(), durable_.end(), models());
  reply.set_epoch(epoch_);
  reply.set_head(to_hex(head_));
  TrainingReport training = training_;
  const bool heard = training.state() != TrainingReport::STATE_UNSPECIFIED;
  training.set_silent_seconds(heard ? std::chrono::duration<double>(now - training_heard_).count() : 0);
  add_training(reply, std::move(training));
  set_state(reply);
  if (!progress_.empty()) {
    const double seconds = std::chrono::duration<double>(now - progress_.front().first).count();
    const auto moved = static_cast<double>(durable_frontier() - progress_.front().second);
    reply.set_proposals_per_second(seconds > 0.5 ? moved / seconds : 0.0);
  }
  for (const auto& [id, worker] : workers_) {
    auto* out = reply.add_workers();
    out->set_worker(id);
    out->set_name(worker.hello.name());
    out->set_device(worker.hello.device());
    out->set_leased_units(ledger_.leased(id));
    out->set_answered_units(worker.answered);
    out->set_audited_units(jury_.compared(worker.witness));
    out->set_gradient_units(sharing_.computed(id));
    out->set_expired_units(worker.expired);
    out->set_silent(worker.silent);
    out->set_failures(worker.failures);
    out->set_trouble(worker.trouble);
    for (const std::uint32_t version : worker.ready) out->add_ready_versions(version);
    add_versions(worker, *out);
    out->set_connected_seconds(std::chrono::duration<double>(now - worker.since).count());
  }
  add_quarantined(reply, quarantined_);
  if (const auto& sample = recheck_.sample()) {
    auto* out = reply.mutable_recheck();
    out->set_share(sample->share);
    out->set_seed(sample->seed);
    out->set_checked_units(recheck_.doubtful() ? 0 : recheck_.checked());
    out->set_done(!recheck_.under_way());
  }
  return reply;
}

}  // namespace flowloom
