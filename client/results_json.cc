#include "chain/status_reply.h"
#include "client/numbers.h"
#include "client/results.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

using nlohmann::json;

json training_json(const v1::TrainingReport& training) {
  if (training.state() == v1::TrainingReport::STATE_UNSPECIFIED) return nullptr;
  return {{"step", training.step()},
          {"max_steps", training.max_steps()},
          {"loss", training.loss()},
          {"ess", training.ess()},
          {"ess_average", training.ess_average()},
          {"ess_from_target", training.has_ess_from_target() ? json(training.ess_from_target()) : json()},
          {"learning_rate", training.learning_rate()},
          {"batch", training.batch()},
          {"samples_per_second", training.samples_per_second()},
          {"seconds", training.seconds()},
          {"gradient_norm", training.gradient_norm()},
          {"skipped_steps", training.skipped_steps()},
          {"state", state_name(training.state())},
          {"sentence", training.sentence()},
          {"silent_seconds", training.silent_seconds()},
          {"wanted_ess", training.wanted_ess()},
          {"helped_units", training.helped_units()}};
}

json worker_json(const v1::WorkerStatus& worker) {
  json versions = json::array();
  for (const auto& row : worker.versions()) {
    versions.push_back({{"version", row.version()}, {"state", state_name(row.state())}, {"sentence", row.sentence()}});
  }
  return {{"worker", worker.worker()},
          {"name", worker.name()},
          {"device", worker.device()},
          {"leased_units", worker.leased_units()},
          {"answered_units", worker.answered_units()},
          {"gradient_units", worker.gradient_units()},
          {"audited_units", worker.audited_units()},
          {"expired_units", worker.expired_units()},
          {"silent", worker.silent()},
          {"failures", worker.failures()},
          {"trouble", worker.trouble()},
          {"ready_versions", worker.ready_versions()},
          {"versions", versions},
          {"connected_seconds", worker.connected_seconds()}};
}

}  // namespace

std::string state_name(v1::VersionOnWorker::State state) {
  switch (state) {
    case v1::VersionOnWorker::STATE_OFFERED:
      return "offered";
    case v1::VersionOnWorker::STATE_FETCHED:
      return "fetched";
    case v1::VersionOnWorker::STATE_VERIFIED:
      return "verified";
    case v1::VersionOnWorker::STATE_WARM:
      return "warm";
    case v1::VersionOnWorker::STATE_ACTIVE:
      return "active";
    case v1::VersionOnWorker::STATE_RETIRED:
      return "retired";
    case v1::VersionOnWorker::STATE_FAILED:
      return "failed";
    default:
      return "unknown";
  }
}

std::string placement_name(v1::Switch::Placement placement) {
  switch (placement) {
    case v1::Switch::PLACEMENT_SCHEDULE:
      return "schedule";
    case v1::Switch::PLACEMENT_CLOCK:
      return "clock";
    case v1::Switch::PLACEMENT_OPERATOR:
      return "operator";
    default:
      return "unknown";
  }
}

std::string state_name(v1::TrainingReport::State state) {
  switch (state) {
    case v1::TrainingReport::STATE_TRAINING:
      return "training";
    case v1::TrainingReport::STATE_TRAINED:
      return "trained";
    case v1::TrainingReport::STATE_STOPPED:
      return "stopped";
    case v1::TrainingReport::STATE_FAILED:
      return "failed";
    default:
      return "";
  }
}

std::string state_name(v1::StatusReply::State state) {
  switch (state) {
    case v1::StatusReply::STATE_WAITING:
      return "waiting";
    case v1::StatusReply::STATE_RUNNING:
      return "running";
    case v1::StatusReply::STATE_STALLED:
      return "stalled";
    case v1::StatusReply::STATE_DRAINING:
      return "draining";
    case v1::StatusReply::STATE_COMPLETE:
      return "complete";
    case v1::StatusReply::STATE_HALTED:
      return "halted";
    default:
      return "not running";
  }
}

std::string state_text(const v1::StatusReply& status) {
  const std::string name = state_name(status.state());
  if (status.sentence().starts_with(name)) return status.sentence();  // "waiting for a worker"
  return name + (status.sentence().empty() ? "" : ": " + status.sentence());
}

std::string training_text(const v1::TrainingReport& training) {
  if (is_silent(training)) return "silent for " + duration(training.silent_seconds());
  return state_name(training.state()) + (training.sentence().empty() ? "" : ": " + training.sentence());
}

json models_json(const v1::ListReply& models) {
  json versions = json::array(), switches = json::array();
  for (const auto& model : models.versions()) {
    versions.push_back({{"version", model.version()},
                        {"sha256", to_hex(model.sha256())},
                        {"size", model.size()},
                        {"training_step", model.training_step()},
                        {"ess", model.ess()},
                        {"origin", model.origin()},
                        {"verified", model.verified()}});
  }
  for (const auto& row : models.switches()) {
    switches.push_back(
        {{"from", row.from()}, {"version", row.version()}, {"placement", placement_name(row.placement())}});
  }
  return {{"versions", versions}, {"switches", switches}};
}

json status_json(const v1::StatusReply& status) {
  json observables = json::array(), workers = json::array();
  for (const auto& row : status.observables()) {
    observables.push_back({{"name", row.name()},
                           {"symbol", row.symbol()},
                           {"mean", row.mean()},
                           {"error", row.error()},
                           {"tau_int", row.tau_int()}});
  }
  for (const auto& worker : status.workers()) workers.push_back(worker_json(worker));
  json quarantined = json::array(), recheck;
  for (const auto& row : status.quarantined()) {
    quarantined.push_back({{"name", row.name()},
                           {"wrong_units", row.wrong_units()},
                           {"answered_units", row.answered_units()},
                           {"audited_units", row.audited_units()},
                           {"expired_units", row.expired_units()},
                           {"reason", row.reason()}});
  }
  if (status.has_recheck()) {
    recheck = {{"share", status.recheck().share()},
               {"seed", status.recheck().seed()},
               {"checked_units", status.recheck().checked_units()},
               {"done", status.recheck().done()}};
  }
  return {{"name", status.name()},
          {"run_id", status.run_id()},
          {"identity", to_hex(status.identity())},
          {"epoch", status.epoch()},
          {"state", state_name(status.state())},
          {"sentence", status.sentence()},
          {"proposals", status.proposals()},
          {"length", status.length()},
          {"accepted", status.accepted()},
          {"invalid", status.invalid()},
          {"longest_rejection_run", status.longest_rejection_run()},
          {"acceptance", status.acceptance()},
          {"ess", status.ess()},
          {"log_z", status.log_z()},
          {"log_z_error", status.log_z_error()},
          {"proposals_per_second", status.proposals_per_second()},
          {"observable", status.observable()},
          {"live_estimates", observables},
          {"models", models_json(status.models())},
          {"workers", workers},
          {"quarantined", quarantined},
          {"recheck", recheck},
          {"training", training_json(status.training())},
          {"head", status.head()},
          {"numerics", status.numerics()},
          {"notes", status.notes()}};
}

json observables_json(std::span<const ObservableRow> rows) {
  json all = json::array();
  for (const ObservableRow& row : rows) {
    json out{{"name", row.quantity.name}, {"symbol", row.quantity.symbol}, {"definition", row.quantity.sentence}};
    const auto put = [&](const char* key, double value) { out[key] = row.defined ? json(value) : json(); };
    put("value", row.estimate.value);
    put("error", row.estimate.error);
    put("error_of_error", row.estimate.error_of_error);
    put("tau_int", row.estimate.tau_int);
    put("tau_int_error", row.estimate.tau_int_error);
    put("window", static_cast<double>(row.estimate.window));
    out["reliable"] = row.defined && row.estimate.reliable;
    if (row.exact) {
      out["exact"] = *row.exact;
      put("deviation", row.deviation());
    }
    all.push_back(std::move(out));
  }
  return all;
}

json analysis_json(const ChainAnalysis::Result& result) {
  return {{"method", "Gamma method"},
          {"proposals", result.proposals},
          {"accepted", result.accepted},
          {"invalid", result.invalid},
          {"longest_rejection_run", result.longest_rejection_run},
          {"acceptance", result.acceptance},
          {"tau_acc", result.tau_acc},
          {"ess", result.ess},
          {"log_z", result.log_z.value},
          {"log_z_error", result.log_z.error},
          {"burn_in", result.discarded},
          {"observables", observables_json(result.rows)}};
}

std::string json_text(const json& value, bool indented) {
  return value.dump(indented ? 2 : -1, ' ', false, json::error_handler_t::replace);
}

}  // namespace flowloom
