#include "server/training.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "flow/catalog.h"
#include "server/publishing.h"
#include "server/sharing.h"
#include "server/start.h"
#include "server/trainer.h"
#include "server/training_store.h"
#include "server/uplink.h"
#include "spec/error.h"
#include "spec/files.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;
using flowloom::v1::TrainingReport;

constexpr std::chrono::seconds kLastReport{3};  // how long the end waits for it to be delivered

constexpr std::chrono::milliseconds kRoom{500};  // between two attempts to write to a full disk

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string join(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

class Training {
 public:
  Training(RunSpec run, const flowloom::v1::DescribeReply& description, const TrainingOptions& options, Uplink& uplink,
           GradientHelp* help)
      : run_(std::move(run)),
        options_(options),
        uplink_(uplink),
        help_(help),
        fulfilled_(description.fulfilled().begin(), description.fulfilled().end()),
        store_(options.state) {
    for (const auto& model : description.models().versions()) {
      known_.insert(to_hex(model.sha256()));
    }
    if (auto found = store_.load(run_)) saved_ = std::move(*found);
    for (auto& point : saved_.undelivered) uplink_.record(std::move(point));
  }

  void go(std::stop_token stop) {
    publish_again();
    if (!enough()) {
      prepare_trainer(stop);
      loop(stop);
      save(stop);
      const bool interrupted = stop.stop_requested() || !trainer_->finished();  // even at its last publication
      if (interrupted && (options_.to_end || !everything_published())) {
        report(TrainingReport::STATE_STOPPED,
               uplink_.chain_complete() ? "the chain is complete, or was drained" : "goes on when it is started again");
        uplink_.drain({}, kLastReport);
        spdlog::info("stopped at step {}; the state is written", saved_.state.step);
        return;
      }
      if (const Entries open = open_now(); !open.empty()) {
        const std::string sentence = shortfall(run_, saved_.state, open);
        if (!options_.to_end) throw Error(ErrorCode::kHalted, sentence);
        spdlog::warn(sentence);
      }
    }
    report(TrainingReport::STATE_TRAINED);
    if (!uplink_.drain(stop)) uplink_.check();
    spdlog::info("done: {} steps, {} skipped, ESS {:.3f}", saved_.state.step, saved_.state.skipped, saved_.state.ess);
  }

  void report(TrainingReport::State state_now, const std::string& sentence = "") {
    TrainingReport report;
    const TrainerState& state = current();
    report.set_step(state.step);
    report.set_max_steps(run_.train.max_steps);
    const StepFigures& figures = state.last_step;
    report.set_loss(figures.loss);
    report.set_ess(state.ess);
    report.set_ess_average(state.ess_average);
    report.set_samples_per_second(rate_);
    report.set_seconds(saved_.seconds);
    report.set_gradient_norm(figures.gradient_norm);
    report.set_skipped_steps(state.skipped);
    if (!run_.train.target_samples.empty()) report.set_ess_from_target(state.ess_from_target);
    report.set_learning_rate(figures.learning_rate);
    report.set_batch(static_cast<std::int64_t>(figures.batch));
    report.set_state(state_now);
    const auto& publications = saved_.publications;
    report.set_sentence(sentence.empty() && !publications.empty() ? publications.back().refused : sentence);
    report.set_wanted_ess(wanted_ess());
    report.set_helped_units(trainer_ ? trainer_->helped_units() : 0);
    report.set_training(to_hex(training_identity(run_)));
    uplink_.report(std::move(report));
  }

 private:
  const TrainerState& current() const { return trainer_ ? trainer_->state() : saved_.state; }
  Entries open_now() const { return open_entries(run_.chain, fulfilled_, saved_.publications); }

  // Nothing that training could add would be published.
  bool everything_published() const { return !run_.chain.asap && open_now().empty(); }

  // No more steps are wanted, though training has not finished.
  bool enough() const { return !options_.to_end && (uplink_.chain_complete() || everything_published()); }

  double wanted_ess() const {
    double target = run_.train.stop_ess.value_or(std::nan(""));
    for (const std::uint32_t entry : open_now()) {
      if (const auto& ess = run_.chain.versions[entry].when.ess) target = std::fmin(target, *ess);
    }
    return target;
  }

  // What an earlier start published here and the coordinator does not have: it may have been ended on the way.
  void publish_again() {
    for (const Publication& publication : saved_.publications) {
      const Entries entries = entries_of(run_.chain, publication);
      const bool there = run_.chain.asap
                             ? known_.contains(publication.sha256) || !publication.refused.empty()
                             : std::includes(fulfilled_.begin(), fulfilled_.end(), entries.begin(), entries.end());
      if (!there) send(publication, store_.read_checkpoint(publication));
    }
  }

  void prepare_trainer(std::stop_token stop) {
    refuse_passed_steps(run_.chain, open_now(), saved_.state);
    const TrainingEngines engines = options_.engines(run_);
    const std::string build = engines.own->build();
    if (!saved_.build.empty() && saved_.build != build) {
      spdlog::warn("the state was trained by {}, this is {}: from here on its bits are the latter's", saved_.build,
                   build);
    }
    saved_.build = build;
    const bool fresh = saved_.state.weights.empty();
    std::optional<TrainerState> state;
    if (!fresh) {
      state = saved_.state;
    } else if (!run_.train.start.empty()) {
      state = starting_state(run_, options_.base);
      spdlog::info("starting from the weights of '{}'", run_.train.start);
    }
    std::vector<double> target;
    if (!run_.train.target_samples.empty()) {
      if (fresh) {  // a copy, which later starts use
        const std::filesystem::path given = options_.base / run_.train.target_samples;
        read_target_samples(given, run_);
        write_file_atomically(store_.target_file(), read_file(given));
      }
      target = read_target_samples(store_.target_file(), run_);
    }
    trainer_.emplace(run_, engines, options_.threads, std::move(state), std::move(target), help_);
    if (fresh) save(stop);
    spdlog::info("training with {} on {} threads from step {}", build, options_.threads, trainer_->state().step);
  }

  void loop(std::stop_token stop) {
    Clock::time_point last_save = Clock::now(), last_report = last_save;
    std::int64_t reported_samples = trainer_->state().samples;
    while (true) {
      publish_if_due(stop);
      uplink_.check();
      if (stop.stop_requested() || trainer_->finished() || enough()) return;
      const auto start = Clock::now();
      const Trainer::Did did = trainer_->advance(stop);
      const double seconds = seconds_since(start);
      saved_.seconds += seconds;
      saved_.core_seconds += seconds * static_cast<double>(options_.threads);
      const TrainerState& state = trainer_->state();
      if (did == Trainer::Did::kEvaluation) {
        spdlog::info("step {}: loss {:.4f}, ESS {:.4f}, gradient {:.3g}, {:.0f} samples/s", state.step,
                     trainer_->state().last_step.loss, state.ess, trainer_->state().last_step.gradient_norm, rate_);
      }
      record(did);
      const bool report_due = Clock::now() - last_report >= options_.report_every;
      if (report_due || rate_ == 0)
        rate_ = static_cast<double>(state.samples - reported_samples) / seconds_since(last_report);
      if (report_due) {
        reported_samples = state.samples;
        last_report = Clock::now();
      }
      if (report_due || did == Trainer::Did::kEvaluation) report(TrainingReport::STATE_TRAINING);
      if (Clock::now() - last_save >= options_.save_every) {
        save(stop);
        last_save = Clock::now();
      }
    }
  }

  // A point where one is due: at an evaluation, or after `record_every` steps.
  void record(Trainer::Did did) {
    const TrainerState& state = trainer_->state();
    const bool evaluated = did == Trainer::Did::kEvaluation;
    if (!evaluated && (did != Trainer::Did::kStep || state.step % run_.train.record_every != 0)) return;
    const StepFigures& figures = trainer_->state().last_step;
    flowloom::v1::TrainingPoint point;
    point.set_step(state.step);
    point.set_seconds(saved_.seconds);
    point.set_core_seconds(saved_.core_seconds);
    point.set_samples(state.samples);
    point.set_loss(figures.loss);
    point.set_batch_ess(figures.ess);
    point.set_ess(evaluated ? state.ess : std::nan(""));
    point.set_ess_from_target(evaluated ? state.ess_from_target : std::nan(""));
    point.set_gradient_norm(figures.gradient_norm);
    point.set_learning_rate(figures.learning_rate);
    point.set_batch(static_cast<std::int64_t>(figures.batch));
    point.set_skipped(state.skipped);
    uplink_.record(std::move(point));
  }

  void publish_if_due(std::stop_token stop) {
    const TrainerState& state = trainer_->state();
    const auto reasons = reasons_to_publish(run_, state, trainer_->finished(), open_now(), saved_.publications);
    if (reasons.empty()) return;
    const auto ess = state.evaluated_step == state.step ? state.ess : trainer_->measure_ess(stop);
    if (!ess) return;
    const auto candidate = trainer_->candidate(stop);
    if (!candidate) return;
    const Publication* last = last_published(saved_.publications);
    std::string bytes = candidate->checkpoint.bytes();
    Publication publication{state.step,
                            *ess,
                            reasons,
                            to_hex(sha256(bytes)),
                            candidate->gate.ess,
                            gate_refusal(run_, *candidate, best_gate_ess(saved_.publications))};
    keep([&] { store_.write_checkpoint(publication, bytes); }, stop);
    if (!publication.refused.empty()) return refuse(publication, last ? std::optional(*last) : std::nullopt, stop);
    saved_.publications.push_back(publication);
    save(stop);
    send(publication, std::move(bytes));
  }

  // What did not pass the gate. Entries of the schedule that ask for it get what was published `last`.
  void refuse(const Publication& publication, std::optional<Publication> last, std::stop_token stop) {
    const bool needed = !run_.chain.asap || trainer_->finished();
    if (!last && needed) throw Error(ErrorCode::kHalted, publication.refused);
    spdlog::warn(publication.refused);
    if (last && !run_.chain.asap) {
      last->reasons = publication.reasons;
      saved_.publications.push_back(*last);
    }
    saved_.publications.push_back(publication);
    save(stop);
    if (last && !run_.chain.asap) send(*last, store_.read_checkpoint(*last));
    report(TrainingReport::STATE_TRAINING);
  }

  void send(const Publication& publication, std::string bytes) {
    flowloom::v1::PublishHeader header;
    header.set_training_step(publication.step);
    header.set_ess(publication.ess);
    for (const std::uint32_t entry : entries_of(run_.chain, publication)) {
      header.add_scheduled(entry);
      header.add_conditions(run_.chain.versions[entry].when.sentence());
    }
    header.set_origin(join(publication.reasons));
    uplink_.publish(std::move(header), std::move(bytes));
  }

  void save(std::stop_token stop) {
    saved_.state = trainer_->state();
    saved_.undelivered = uplink_.undelivered();
    keep([&] { store_.save(run_, saved_); }, stop);
  }

  // Writes. A disk that is full or read-only is waited for: what was trained so far is worth more than the time.
  template <class Write>
  void keep(Write write, std::stop_token stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    for (bool said = false;;) {
      try {
        write();
        if (said) spdlog::info("The state can be written again.");
        return;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUnavailable || stop.stop_requested()) throw;
        if (!std::exchange(said, true)) spdlog::warn("{} Until then training waits.", error.what());
        report(TrainingReport::STATE_TRAINING, error.what());
      }
      std::condition_variable_any().wait_for(lock, stop, kRoom, [] { return false; });
    }
  }

  RunSpec run_;
  TrainingOptions options_;
  Uplink& uplink_;
  GradientHelp* help_;           // may be null
  Entries fulfilled_;            // at the start
  std::set<std::string> known_;  // SHA-256 of the versions at the start
  TrainingStore store_;
  SavedTraining saved_;
  std::optional<Trainer> trainer_;
  double rate_ = 0;  // samples per second, lately
};

}  // namespace

TrainingEngines training_engines(const RunSpec& run) {
  return {open_engine(run.numerics.engine), open_engine("torch")};
}

void train(PeerFinder finder, const TrainingOptions& options, std::stop_token stop) {
  const auto description = describe(finder, options.wait, stop);
  if (!description) return;
  Uplink uplink(finder, description->run_id());
  std::optional<Sharing> sharing;
  std::optional<Training> training;
  try {
    RunSpec run = load_run_text(description->run_file(), "the coordinator's run file");
    // LibTorch's bits are a machine's own.
    if (!options.alone && run.numerics.engine == "lanes")
      sharing.emplace(finder, description->run_id(), training_identity(run));
    training.emplace(std::move(run), *description, options, uplink, sharing ? &*sharing : nullptr);
    training->go(stop);
  } catch (const Error& error) {
    if (training) {
      training->report(TrainingReport::STATE_FAILED, error.what());
    } else {
      TrainingReport report;
      report.set_ess(std::nan(""));
      report.set_ess_average(std::nan(""));
      report.set_wanted_ess(std::nan(""));
      report.set_state(TrainingReport::STATE_FAILED);
      report.set_sentence(error.what());
      uplink.report(std::move(report));
    }
    uplink.drain(stop, kLastReport);
    throw;
  }
}

}  // namespace flowloom
