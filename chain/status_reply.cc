#include "chain/status_reply.h"

#include <algorithm>
#include <cmath>
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
    if (row.placement() != v1::Switch::PLACEMENT_CLOCK) continue;
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
    out->set_placement(static_cast<v1::Switch::Placement>(row.placement));  // the same numbers
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
  reply.set_length(std::max(end.index(), statistics.proposals()));  // a run file may have become shorter than its chain
  reply.set_numerics(run.numerics.engine + ", " + to_string(run.numerics.precision) + ", revision " +
                     std::to_string(run.numerics.revision) + (pinned_build.empty() ? "" : ", " + pinned_build));
  reply.set_observable(statistics.observable(run.chain.observable).observable.name);
  *reply.mutable_models() = std::move(models);
  set_figures(reply, statistics);
  add_notes(reply, end);
  return reply;
}

std::map<std::string, v1::Quarantine> quarantined_names(const std::vector<WorkerRow>& workers) {
  std::map<std::string, v1::Quarantine> names;
  for (const WorkerRow& row : workers) {
    if (row.quarantined.empty()) continue;
    v1::Quarantine& out = names[row.name];
    out.set_name(row.name);
    out.set_reason(row.quarantined);
    out.set_wrong_units(1);
  }
  return names;
}

void add_quarantined(v1::StatusReply& reply, const std::map<std::string, v1::Quarantine>& names) {
  for (const auto& [name, row] : names) *reply.add_quarantined() = row;
}

v1::TrainingReport stored_training(const Store& store, const RunSpec& run) {
  v1::TrainingReport report;
  const auto last = store.last_training(Store::Points::kAll),
             evaluated = store.last_training(Store::Points::kEvaluated);
  report.set_ess(evaluated ? evaluated->ess() : std::nan(""));
  report.set_ess_average(std::nan(""));
  report.set_wanted_ess(std::nan(""));
  if (!last) return report;
  report.set_step(last->step());
  report.set_max_steps(run.train.max_steps);
  report.set_loss(last->loss());
  report.set_seconds(last->seconds());
  report.set_gradient_norm(last->gradient_norm());
  report.set_skipped_steps(last->skipped());
  report.set_learning_rate(last->learning_rate());
  report.set_batch(last->batch());
  if (evaluated && !run.train.target_samples.empty()) report.set_ess_from_target(evaluated->ess_from_target());
  const bool enough = evaluated && run.train.stop_ess && evaluated->ess() >= *run.train.stop_ess;
  const bool trained = last->step() >= run.train.max_steps || enough;
  report.set_state(trained ? v1::TrainingReport::STATE_TRAINED : v1::TrainingReport::STATE_STOPPED);
  return report;
}

bool is_silent(const v1::TrainingReport& training) {
  constexpr double kSilence = 20;  // seconds
  return training.state() == v1::TrainingReport::STATE_TRAINING && training.silent_seconds() > kSilence;
}

std::vector<std::string> training_notes(const v1::TrainingReport& training, const v1::ListReply& models) {
  std::vector<std::string> notes;
  char text[320];
  if (training.has_ess_from_target() && training.ess_from_target() < 0.5 * training.ess()) {
    std::snprintf(
        text, sizeof text,
        "The flow's ESS is %.3g by its own samples and %.3g by the target's: it misses a part of the target, and so "
        "does a chain, whose own figures do not show it.",
        training.ess(), training.ess_from_target());
    notes.emplace_back(text);
  }
  if (training.skipped_steps() > 0 && training.skipped_steps() >= training.step() / 20) {
    std::snprintf(
        text, sizeof text,
        "%lld of %lld training steps were skipped, because their gradient was not finite: lower learning_rate or "
        "clip, and see that the action is bounded below.",
        static_cast<long long>(training.skipped_steps()), static_cast<long long>(training.step()));
    notes.emplace_back(text);
  }
  const auto& versions = models.versions();
  if (training.state() == v1::TrainingReport::STATE_TRAINED && !versions.empty() &&
      versions.rbegin()->origin() == "trained" && versions.rbegin()->training_step() != training.step()) {
    std::snprintf(
        text, sizeof text,
        "What the chain serves as the trained version stays version %u (step %lld), which was published before: this "
        "training has come to step %lld. A run in another directory takes its weights with [train] start.",
        versions.rbegin()->version(), static_cast<long long>(versions.rbegin()->training_step()),
        static_cast<long long>(training.step()));
    notes.emplace_back(text);
  }
  return notes;
}

void add_training(v1::StatusReply& reply, v1::TrainingReport training) {
  for (const std::string& note : training_notes(training, reply.models())) reply.add_notes(note);
  *reply.mutable_training() = std::move(training);
}

}  // namespace flowloom
