#include "coordinator/core.h"

#include <algorithm>
#include <cmath>

#include "flow/catalog.h"
#include "program/limits.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Refusal;
using flowloom::v1::WorkerMessage;

constexpr int kFailuresToHalt = 3;

// What two answers to one unit may differ by (rule 9): the lanes' bits are the same everywhere.
double audit_tolerance(const RunSpec& run) {
  return run.numerics.engine == "lanes" ? 0 : log_weight_tolerance(run.numerics.precision);
}

Time lease_of(const RunSpec& run) { return Time(static_cast<std::int64_t>(1000 * run.chain.lease_seconds)); }

std::string difference(double by) { return by == 0 ? "in its observables" : "in log_w by up to " + std::to_string(by); }

// A peer's sentence, kept for the status.
std::string bounded(const std::string& sentence) {
  return sentence.size() <= limits::kReasonBytes ? sentence : "a reason of " + std::to_string(sentence.size()) + " bytes";
}

}  // namespace

Core::Core(const RunSpec& run, Recovered recovered, std::uint64_t snapshot_every)
    : run_(run),
      run_id_(recovered.run_id),
      epoch_(recovered.epoch),
      head_(recovered.head),
      durable_build_(recovered.pinned_build),
      durable_(recovered.log ? std::move(*recovered.log) : LogState(run)),
      ledger_(durable_.frontier() / run.unit, run.chain.window, lease_of(run)),
      jury_(run.noise_key(), run.chain.audit, audit_tolerance(run)),
      recheck_(run.noise_key(), audit_tolerance(run), lease_of(run)),
      rollout_(run, recovered.models, recovered.fulfilled, recovered.switches),
      chain_(run.noise_key(), durable_.frontier(), durable_.current()),
      sums_(theory_sums(make_theory(run.theory)).size()),
      recorded_switches_(durable_.switches()),
      quarantined_(quarantined_names(recovered.workers)),
      snapshot_every_(snapshot_every),
      snapshot_at_(durable_.frontier()),
      build_(recovered.pinned_build),
      sharing_(architecture_of(run).parameter_count(), training_identity(run), lease_of(run)),
      end_(durable_.end()) {
  training_.set_ess(std::nan(""));
  for (const WorkerRow& row : recovered.workers) {
    last_worker_ = std::max(last_worker_, row.number);
    names_[row.number] = row.name;
  }
  if (!quarantined_.empty()) recheck_.begin_doubtful();
}

void Core::replay(const Record& record) {
  const auto corrupt = [](const std::string& what) {
    throw Error(ErrorCode::kCorrupt, "The log contradicts itself (" + what + "); 'flowloom verify' names the record.");
  };
  if (const auto* unit = std::get_if<UnitRecord>(&record)) {
    if (unit->data.count() != run_.unit || unit->data.sums.size() != sums_ * run_.unit)
      corrupt("a unit of another size");
    if (chain_.follow(unit->data, unit->accepted)) corrupt("an accept decision");
    ledger_.committed();
  } else if (const auto* row = std::get_if<SwitchRecord>(&record)) {
    const auto& table = rollout_.switches();
    if (recorded_switches_ >= table.size() || table[recorded_switches_].from != row->from ||
        table[recorded_switches_].checkpoint != row->checkpoint) {
      corrupt("a switch that is not in the switch table");
    }
    ++recorded_switches_;
  } else if (const auto* reweigh = std::get_if<ReweighRecord>(&record)) {
    chain_.reweigh(reweigh->log_q);
  }
  end_.add(record);
  durable_.add(record);
}

// ---------------------------------------------------------------------------------------------------- workers

std::optional<std::string> Core::refusal(const flowloom::v1::Hello& hello, Refusal::Code& code) const {
  code = Refusal::CODE_PROTOCOL;
  if (hello.ByteSizeLong() > limits::kHelloBytes) {
    return "A Hello has at most " + std::to_string(limits::kHelloBytes) + " bytes.";
  }
  if (hello.protocol() != kProtocol) {
    return "This coordinator speaks " + std::string(kProtocol) + ", the worker '" + hello.protocol() +
           "'; use the same version of Flowloom on both sides.";
  }
  if (hello.credits() > limits::kCredits || std::max(hello.name().size(), hello.device().size()) > limits::kNameBytes) {
    return "Hello asks for more than " + std::to_string(limits::kCredits) + " units at once, or has too long a name.";
  }
  if (workers_.size() >= limits::kWorkers) return "All " + std::to_string(limits::kWorkers) + " places are taken.";
  code = Refusal::CODE_QUARANTINED;
  if (const auto found = quarantined_.find(hello.name()); found != quarantined_.end()) {
    return "The worker '" + found->first + "' is in quarantine: " + found->second +
           ". Have its machine checked; one that is mended joins under another --name.";
  }
  code = Refusal::CODE_WRONG_RUN;
  if (hello.run().chain() != 0) return "A run has one chain, number 0.";
  if (!hello.run().run_id().empty() && hello.run().run_id() != run_id_) {
    return "This coordinator owns run " + run_id_ + ", the worker wants run " + hello.run().run_id() +
           "; check the address.";
  }
  const Sha256 identity = run_.identity();
  if (!hello.identity().empty() && hello.identity() != bytes_of(identity)) {
    return "This run's identity is " + to_hex(identity) +
           ", the worker expects another; check the address and the run file.";
  }
  code = Refusal::CODE_NUMERICS;
  const std::string wanted = run_.numerics.engine + "/" + to_string(run_.numerics.precision) + "/revision " +
                             std::to_string(run_.numerics.revision);
  for (const auto& engine : hello.engines()) {
    if (!runs_numerics(engine)) continue;
    if (build_.empty() || build_ == engine.build()) return {};
    return "This chain's bits are those of " + build_ + ", the worker has " + engine.build() +
           "; start the worker on a machine of the first kind.";
  }
  return "This run is pinned to " + wanted +
         ", which the worker does not have; use the build that the run was started with.";
}

bool Core::runs_numerics(const flowloom::v1::Numerics& engine) const {
  return engine.engine() == run_.numerics.engine && engine.precision() == to_string(run_.numerics.precision) &&
         engine.revision() == run_.numerics.revision;
}

WorkerId Core::joined(const flowloom::v1::Hello& hello, Time now) {
  const WorkerId id = ++last_worker_;
  Refusal::Code code;
  const auto sentence = refusal(hello, code);
  CoordinatorMessage message;
  if (sentence) {
    message.mutable_refusal()->set_code(code);
    message.mutable_refusal()->set_sentence(*sentence);
    send(id, std::move(message), true);
    return id;
  }
  auto* welcome = message.mutable_welcome();
  welcome->set_run_id(run_id_);
  welcome->set_epoch(epoch_);
  welcome->set_run_file(run_.toml);
  const Sha256 identity = run_.identity();
  welcome->set_identity(identity.data(), identity.size());
  welcome->set_worker(id);
  send(id, std::move(message));
  if (closing()) send(id, goodbye());
  Worker& worker = workers_[id];
  worker.hello = hello;
  worker.credits = hello.credits();
  worker.since = now;
  if (build_.empty()) {  // no unit is durable before this is
    build_ = std::ranges::find_if(hello.engines(), [&](const auto& engine) { return runs_numerics(engine); })->build();
    pending_.build = build_;
  }
  return id;
}

void Core::received(WorkerId id, const WorkerMessage& message) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Worker& worker = found->second;
  switch (message.message_case()) {
    case WorkerMessage::kReady: {
      const std::uint32_t version = message.ready().version();
      if (!rollout_.find(version)) {
        refuse(id, Refusal::CODE_WRONG_VERSION, "There is no version " + std::to_string(version) + ".");
        break;
      }
      if (std::find(worker.ready.begin(), worker.ready.end(), version) == worker.ready.end())
        worker.ready.push_back(version);
      verified(version);
      break;
    }
    case WorkerMessage::kNotReady:
      ++worker.failures;
      worker.trouble = bounded(message.not_ready().sentence());
      if (const std::uint32_t version = message.not_ready().version(); rollout_.find(version)) {
        worker.refused[version] = worker.trouble;
        rollout_.refused(version);
      }
      break;
    case WorkerMessage::kLoading:
      if (rollout_.find(message.loading().version()))
        worker.loading[message.loading().version()] = message.loading().step();
      break;
    case WorkerMessage::kSample:
      sample_answered(id, message.sample());
      break;
    case WorkerMessage::kReweigh:
      reweigh_answered(id, message.reweigh());
      break;
    case WorkerMessage::kGradient:
      gradient_answered(id, message.gradient());
      break;
    case WorkerMessage::kFailure:
      failed(id, message.failure());
      break;
    case WorkerMessage::kCredit:
      worker.credits = std::min(message.credit().credits(), limits::kCredits);
      break;
    case WorkerMessage::kHello:
    case WorkerMessage::MESSAGE_NOT_SET:
      refuse(id, Refusal::CODE_PROTOCOL, "A message that does not belong here.");
      break;
  }
}

void Core::verified(std::uint32_t version) {
  const auto under_way = [&](const Write& write) { return std::ranges::count(write.verified, version) > 0; };
  if (rollout_.find(version)->verified || under_way(pending_) || (writing_ && under_way(*writing_))) return;
  pending_.verified.push_back(version);
}

void Core::left(WorkerId id) {
  if (workers_.erase(id) == 0) return;
  ledger_.forget(id);
  sharing_.forget(id);
  recheck_.forget(id, false);
  if (reweigh_ && reweigh_->worker == id) reweigh_->worker = 0;
}

bool Core::Worker::can(const char* capability) const {
  const auto& capabilities = hello.capabilities();
  return std::find(capabilities.begin(), capabilities.end(), capability) != capabilities.end();
}

bool Core::Worker::can(const char* capability, std::uint32_t version) const {
  return can(capability) && std::find(ready.begin(), ready.end(), version) != ready.end();
}

void Core::send(WorkerId worker, CoordinatorMessage message, bool last) {
  outgoing_.push_back({worker, std::move(message), last});
}

void Core::refuse(WorkerId worker, Refusal::Code code, const std::string& sentence, bool last) {
  CoordinatorMessage message;
  message.mutable_refusal()->set_code(code);
  message.mutable_refusal()->set_sentence(sentence);
  send(worker, std::move(message), last);
}

void Core::sample_answered(WorkerId id, const flowloom::v1::SampleAnswer& answer) {
  const std::string name = "unit " + std::to_string(answer.unit());
  const std::size_t bytes = run_.unit * sizeof(double);
  if (answer.log_p().size() != bytes || answer.log_q().size() != bytes || answer.sums().size() != sums_ * bytes) {
    const std::string sentence = "The answer to " + name + " must hold " + std::to_string(run_.unit) +
                                 " proposals with " + std::to_string(sums_) + " sums each.";
    refuse(id, Refusal::CODE_WRONG_COUNT, sentence, true);
    left(id);
    return;
  }
  if (answer.unit() < ledger_.frontier()) return logged_unit_answered(id, answer);
  const std::uint64_t last_unit = run_.length_in_units();
  const auto version = answer.unit() < last_unit ? rollout_.version_for(answer.unit() * run_.unit) : std::nullopt;
  if (version && *version != answer.version()) {
    refuse(id, Refusal::CODE_WRONG_VERSION,
           "The answer to " + name + " is under version " + std::to_string(answer.version()) +
               "; the unit is drawn under version " + std::to_string(*version) + ".");
    return;
  }
  // An earlier process may have granted more than this one has; what this one has not granted was never leased by it.
  const bool never_leased = answer.epoch() >= epoch_ && answer.unit() >= ledger_.next_fresh();
  if (!version || never_leased) {
    refuse(id, Refusal::CODE_NEVER_LEASED, "The answer to " + name + " is not wanted: it was never leased.");
    return;
  }
  if (!workers_.at(id).can("sample", *version)) {  // rule 9
    refuse(id, Refusal::CODE_NEVER_LEASED,
           "The answer to " + name + " is not wanted: this worker has not shown that it reproduces version " +
               std::to_string(*version) + ".");
    return;
  }
  const UnitNumber unit = answer.unit();
  const auto verdict = ledger_.verdict(unit);
  if (verdict == UnitLedger::Verdict::kNotInWindow) {
    refuse(id, Refusal::CODE_NEVER_LEASED,
           "The answer to " + name + " is not wanted: it is too far ahead of the chain.");
    return;
  }
  if (verdict == UnitLedger::Verdict::kSame) return;
  if (jury_.has_drawn(id, unit) && !ledger_.holds(id, unit)) return;  // the same message once more
  contributed(id);
  const bool nobody_else = alone(id, [&](WorkerId other) { return may_draw(other, unit); });
  auto finding = jury_.heard(unit, id, data_of(answer), rollout_.find(*version)->threshold, nobody_else);
  if (finding.numbers) {
    ledger_.answered(unit);
    answers_.emplace(unit, Answer{std::move(*finding.numbers), finding.worker, finding.second});
  } else {
    ledger_.again(unit, id);
  }
  proved_wrong(finding.wrong, unit * run_.unit);
}

UnitData Core::data_of(const flowloom::v1::SampleAnswer& answer) const {
  UnitData data{answer.unit() * run_.unit, answer.version(), unpack(answer.log_p()), unpack(answer.log_q()),
                unpack(answer.sums())};
  for (auto* values : {&data.log_p, &data.log_q, &data.sums}) canonicalize(*values);
  return data;
}

// What a worker draws stands in the log with its number, which is durable no later.
void Core::contributed(WorkerId id) {
  Worker& worker = workers_.at(id);
  ++worker.answered;
  if (std::exchange(worker.recorded, true)) return;
  names_[id] = worker.hello.name();
  pending_.workers.push_back({id, worker.hello.name(), worker.hello.device()});
}

// ---------------------------------------------------------------------------------------------------- rule 9

// A unit of the log, drawn again. What comes late, or was not asked for, is the unit's old answer.
void Core::logged_unit_answered(WorkerId id, const flowloom::v1::SampleAnswer& answer) {
  const auto place = recheck_.place_of(answer.unit() * run_.unit);
  if (!place || !recheck_.ledger()->holds(id, *place) || answer.version() != recheck_.at(*place).data.version) return;
  contributed(id);
  const bool nobody_else = alone(id, [&](WorkerId other) { return may_recheck(other, *place); });
  const auto wrong = recheck_.heard(*place, id, data_of(answer), nobody_else);
  std::ranges::copy(recheck_.take_confirmed(), std::back_inserter(pending_.confirmed));
  proved_wrong(wrong, answer.unit() * run_.unit);
  if (const auto& unit = recheck_.wrong()) {
    const std::string number = std::to_string(unit->first_index / run_.unit);
    halt("Unit " + number + " of the chain is wrong: worker " + std::to_string(unit->worker) +
         " drew it, and others who draw it again agree on other numbers (they differ " + difference(unit->by) +
         "). Everything from there on is in doubt; end the coordinator, leave it behind with "
         "'flowloom rewind DIR --to " +
         number + "' and start again: the chain goes on from there.");
  }
}

void Core::proved_wrong(const std::vector<Jury::Wrong>& workers, std::uint64_t first_index) {
  for (const Jury::Wrong& wrong : workers) {
    quarantine(names_.at(wrong.worker), "for unit " + std::to_string(first_index / run_.unit) +
                                            " it gave numbers that were proved wrong (" + difference(wrong.by) + ")");
  }
}

// Nothing more is taken from this name, and what stands on its word alone is drawn again: here what is not yet of the
// chain; what is, once this is durable.
void Core::quarantine(const std::string& name, const std::string& reason) {
  if (!quarantined_.emplace(name, reason).second) return;
  pending_.quarantined.emplace_back(name, reason);
  std::set<WorkerId> quarantined;
  for (const auto& [id, other] : names_) {
    if (quarantined_.contains(other)) quarantined.insert(id);
    if (other != name) continue;
    jury_.forget(id);
    recheck_.forget(id, true);
  }
  std::erase_if(answers_, [&](const auto& entry) {
    const auto& [unit, answer] = entry;
    if (!doubtful({unit * run_.unit, answer.worker, answer.second}, quarantined)) return false;
    ledger_.again(unit, answer.worker);
    return true;
  });
  std::vector<WorkerId> connected;
  for (const auto& [id, worker] : workers_) {
    if (worker.hello.name() == name) connected.push_back(id);
  }
  for (const WorkerId id : connected) {
    refuse(id, Refusal::CODE_QUARANTINED, "This worker is in quarantine: " + reason + ".", true);
    left(id);
  }
}

void Core::reweigh_answered(WorkerId id, const flowloom::v1::ReweighAnswer& answer) {
  if (!reweigh_ || reweigh_->log_q || !chain_.current() || answer.index() != chain_.current()->index ||
      answer.version() != reweigh_->version || !reweigh_->granted.contains(id)) {
    return;  // a late or second answer, or one that nobody asked for
  }
  if (!workers_.at(id).can("reweigh", answer.version())) return;  // rule 9
  const std::string state =
      "state " + std::to_string(answer.index()) + " under version " + std::to_string(answer.version());
  if (!(answer.mismatch() <= log_weight_tolerance(run_.numerics.precision))) {
    flowloom::v1::Failure failure;
    failure.set_reweigh_index(answer.index());
    failure.set_sentence("rebuilding it missed its logged log_p, log_q by " + std::to_string(answer.mismatch()));
    failed(id, failure);
    return;
  }
  if (!std::isfinite(answer.log_q()) || !(answer.round_trip() <= round_trip_limit(run_.numerics.precision))) {
    halt("The switch at proposal " + std::to_string(chain_.frontier()) + " cannot be made: the inverse flow misses " +
         state + " by " + std::to_string(answer.round_trip()) +
         ". The new version is not invertible there; take it out of "
         "[chain] versions and go on with another run directory.");
    return;
  }
  reweigh_->log_q = answer.log_q();
  reweigh_->worker = 0;
}

void Core::gradient_answered(WorkerId id, const flowloom::v1::GradientAnswer& answer) {
  const auto refusal = sharing_.answered(id, answer);
  if (!refusal) return;
  const bool last = refusal->code() == Refusal::CODE_WRONG_COUNT;
  refuse(id, refusal->code(), refusal->sentence(), last);
  if (last) left(id);
}

void Core::failed(WorkerId id, const flowloom::v1::Failure& failure) {
  ++workers_.at(id).failures;
  const std::string reason = bounded(failure.sentence());
  workers_.at(id).trouble = reason;
  if (failure.grant_case() == flowloom::v1::Failure::kGradient) {
    sharing_.failed(id, failure.gradient());
    return;
  }
  if (failure.grant_case() == flowloom::v1::Failure::kUnit) {
    const auto place = recheck_.place_of(failure.unit() * run_.unit);
    if ((place ? recheck_.ledger()->failed(id, *place) : ledger_.failed(id, failure.unit())) >= kFailuresToHalt) {
      halt("Unit " + std::to_string(failure.unit()) + " failed " + std::to_string(kFailuresToHalt) +
           " times, last because: " + reason + " It is never skipped; mend the cause and start again.");
    }
  } else if (failure.grant_case() == flowloom::v1::Failure::kReweighIndex && reweigh_ && reweigh_->worker == id &&
             chain_.current() && failure.reweigh_index() == chain_.current()->index) {
    reweigh_->worker = 0;
    if (++reweigh_->failures >= kFailuresToHalt) {
      halt("The reweigh of state " + std::to_string(failure.reweigh_index()) + " failed " +
           std::to_string(kFailuresToHalt) + " times, last because: " + reason + " Mend the cause and start again.");
    }
  }
}

void Core::halt(const std::string& sentence) {
  if (halted_.empty()) halted_ = sentence;
}

// ------------------------------------------------------------------------------------------------- the turn

void Core::published(const ModelRow& model, const std::vector<std::uint32_t>& entries) {
  rollout_.published(model, entries);
  ++models_revision_;
}

std::uint64_t Core::activate(std::uint32_t version, const std::string& reason) {
  const std::uint64_t first_fresh = ledger_.next_fresh() * run_.unit;
  if (!extends() || first_fresh >= end_.index()) {
    throw Error(ErrorCode::kConflict,
                "The chain draws nothing new now, so no version can begin to serve; 'flowloom "
                "status' says why.");
  }
  const SwitchRecord row = rollout_.activation(version, first_fresh);
  rollout_.place(row);
  pending_.switches.push_back(row);
  tell_log(decision_event("an operator put version " + std::to_string(version) + " in service from proposal " +
                              std::to_string(first_fresh) + " on (" + reason + ")",
                          chain_.frontier()));
  return first_fresh;
}

void Core::tell_log(EventRecord event) {
  end_.add(event);
  pending_.records.push_back(std::move(event));
}

void Core::reported(const flowloom::v1::TrainingReport& report, Time now) {
  training_ = report;
  training_.set_sentence(bounded(report.sentence()));
  training_heard_ = now;
}

void Core::share(const flowloom::v1::GradientStep& step) {
  for (auto& [id, message] : sharing_.offer(step)) send(id, std::move(message));
}

void Core::tick(Time now) {
  const auto expire = [&](UnitLedger& ledger) {
    for (const auto& [unit, worker] : ledger.expire(now)) {
      if (const auto found = workers_.find(worker); found != workers_.end()) ++found->second.expired;
    }
  };
  expire(ledger_);
  if (UnitLedger* ledger = sharing_.ledger()) expire(*ledger);
  if (UnitLedger* ledger = recheck_.ledger()) expire(*ledger);
  if (reweigh_ && reweigh_->worker != 0 && reweigh_->expires <= now) reweigh_->worker = 0;
  retry_ = true;
  progress_.emplace_back(now, durable_frontier());
  while (progress_.size() > 2 && progress_.front().first + std::chrono::seconds(5) < now)
    progress_.erase(progress_.begin());
}

void Core::recheck(const UnitSample& sample) {
  recheck_.begin_sample(sample);
  dismissed_ = false;
}

void Core::only_recheck(const UnitSample& sample) {
  only_recheck_ = true;
  recheck(sample);
}

void Core::drain() {
  draining_ = true;
  dismiss();
}

void Core::dismiss() {
  dismissed_ = true;
  for (const auto& [id, worker] : workers_) send(id, goodbye());
}

CoordinatorMessage Core::goodbye() const {
  CoordinatorMessage message;
  message.mutable_goodbye()->set_sentence(nothing_left() ? "There is no more to do."
                                                         : "The coordinator is going down.");
  message.mutable_goodbye()->set_reconnect_after_seconds(
      nothing_left() ? 0 : std::chrono::duration<double>(limits::kComeBack).count());
  return message;
}

bool Core::finished() const {
  if (nothing_left()) return true;
  return draining_ &&
         (!stalled_.empty() || (all_is_written() && ledger_.leased() == 0));  // what is not on disk is redrawn
}

void Core::turn(Time now) {
  place_switches();
  advance();
  prepare_workers();
  grant_reweigh(now);
  grant_rechecks(now);
  grant_units(now);
  grant_gradients(now);
  if (nothing_left() && !closing()) dismiss();
}

// Decides on the switches that the next grant, or an "asap" version, asks for. Until they are durable nothing at or above
// them is granted.
void Core::place_switches() {
  if (!extends() || rollout_.placing()) return;
  const std::uint64_t first_fresh = ledger_.next_fresh() * run_.unit;
  if (first_fresh >= end_.index()) return;
  if (const auto row = rollout_.due(first_fresh)) {
    rollout_.place(*row);
    pending_.switches.push_back(*row);
  }
}

// Moves the chain over every unit that is there.
void Core::advance() {
  if (!stalled_.empty() || !halted_.empty()) return;
  while (chain_.frontier() < end_.index()) {
    if (!test_until()) return;
    if (chain_.frontier() >= end_.index() || !cross_switch()) return;
    const auto found = answers_.find(chain_.frontier() / run_.unit);
    if (found == answers_.end()) return;
    Answer& answer = found->second;
    std::vector<std::uint8_t> accepted = chain_.advance(answer.data);
    pending_.records.push_back(UnitRecord{std::move(answer.data), std::move(accepted), answer.worker, answer.second});
    answers_.erase(found);
  }
}

std::shared_ptr<const Write> Core::take_write() {
  if (writing_ || (!stalled_.empty() && !retry_) || pending_.empty()) return {};
  retry_ = false;
  // A snapshot is of what is durable now.
  if (!pending_.records.empty() && durable_frontier() >= snapshot_at_ + snapshot_every_) {
    catch_up();
    pending_.snapshot = durable_.save();
    snapshot_at_ = durable_frontier();
  }
  return writing_ = std::make_shared<const Write>(std::exchange(pending_, {}));
}

bool Core::catch_up(std::size_t most) {
  if (!uncounted_) return false;
  const auto& records = uncounted_->records;
  for (; counted_ < records.size() && most > 0; --most) durable_.add(records[counted_++]);
  if (counted_ < records.size()) return true;
  uncounted_.reset();
  return false;
}

void Core::written(const Sha256& head) {
  catch_up();
  const auto write = std::exchange(writing_, {});
  uncounted_ = write;
  counted_ = 0;
  head_ = head;
  stalled_.clear();
  if (write->build) durable_build_ = *write->build;
  for (const std::uint32_t version : write->verified) rollout_.verified(version);
  for (const SwitchRecord& row : write->switches) rollout_.placed(row);
  models_revision_ += write->verified.size() + write->switches.size();
  if (!write->quarantined.empty()) recheck_.begin_doubtful();
  for (const Record& record : write->records) {
    if (std::holds_alternative<UnitRecord>(record)) ledger_.committed();
  }
}

void Core::write_failed(const std::string& sentence) {
  stalled_ = sentence;
  Write write = *std::exchange(writing_, {});
  const auto put_before = [](auto& later, auto& earlier) {
    later.insert(later.begin(), earlier.begin(), earlier.end());
  };
  put_before(pending_.workers, write.workers);
  put_before(pending_.quarantined, write.quarantined);
  put_before(pending_.confirmed, write.confirmed);
  put_before(pending_.verified, write.verified);
  put_before(pending_.switches, write.switches);
  put_before(pending_.records, write.records);
  if (!pending_.build) pending_.build = write.build;
}

// Returns false while the switch at the frontier cannot be crossed yet.
bool Core::cross_switch() {
  while (recorded_switches_ < rollout_.switches().size()) {
    const SwitchRecord& row = rollout_.switches()[recorded_switches_];
    if (row.from != chain_.frontier()) return true;
    if (!chain_.current()) {
      pending_.records.push_back(row);
    } else {
      if (!reweigh_) reweigh_ = Reweigh{row.version};
      if (!reweigh_->log_q) return false;
      pending_.records.push_back(row);
      pending_.records.push_back(ReweighRecord{chain_.current()->index, row.version, *reweigh_->log_q});
      chain_.reweigh(*reweigh_->log_q);
      reweigh_.reset();
    }
    ++recorded_switches_;
  }
  return true;
}

// Rule 6: a stop that looks at the chain, tested only on the fixed grid, there always: also after a failed write and
// first thing after a restart. Returns false while what is tested is not durable.
bool Core::test_until() {
  if (!run_.chain.until || until_tested_ == chain_.frontier() || !on_until_grid(chain_.frontier(), run_.unit))
    return true;
  if (!log_is_written()) return false;
  until_tested_ = chain_.frontier();
  catch_up();
  const Until& until = *run_.chain.until;
  const auto& live = durable_.statistics().observable(until.observable);
  if (!live.defined || live.series.count() < 2) return true;
  const auto estimate = live.series.estimate();
  if (!estimate.reliable || !(estimate.error <= until.relative_error * std::abs(estimate.mean))) return true;
  tell_log(until_event(until, chain_.frontier()));
  return true;
}

void Core::prepare_workers() {
  auto needed = rollout_.needed(chain_.frontier());
  std::ranges::copy(recheck_.versions(), std::back_inserter(needed));
  for (auto& [id, worker] : workers_) {
    for (const std::uint32_t version : needed) {
      if (std::find(worker.prepared.begin(), worker.prepared.end(), version) != worker.prepared.end()) continue;
      worker.prepared.push_back(version);
      CoordinatorMessage message;
      const ModelRow& model = *rollout_.find(version);
      message.mutable_prepare()->set_progress(true);
      auto* out = message.mutable_prepare()->mutable_version();
      out->set_version(version);
      out->set_sha256(model.sha256.data(), model.sha256.size());
      out->set_size(model.size);
      send(id, std::move(message));
    }
  }
}

void Core::grant_reweigh(Time now) {
  if (!reweigh_ || reweigh_->log_q || reweigh_->worker != 0 || !extends()) return;
  WorkerId next = 0;
  for (const auto& [id, worker] : workers_) {
    if (!worker.can("reweigh", reweigh_->version)) continue;
    if (next == 0 || (next <= reweigh_->last && id > reweigh_->last)) next = id;
  }
  if (next == 0) return;
  const ChainState& state = *chain_.current();
  CoordinatorMessage message;
  auto* grant = message.mutable_reweigh();
  grant->set_index(state.index);
  grant->set_unit_size(static_cast<std::uint32_t>(run_.unit));
  grant->set_state_version(state.version);
  grant->set_version(reweigh_->version);
  grant->set_log_p(state.log_p);
  grant->set_log_q(state.drawn_log_q);
  grant->set_lease_seconds(run_.chain.lease_seconds);
  reweigh_->worker = reweigh_->last = next;
  reweigh_->granted.insert(next);
  reweigh_->expires = now + lease_of(run_);
  send(next, std::move(message));
}

std::size_t Core::open(WorkerId id) const {
  return ledger_.leased(id) + sharing_.open(id) + (recheck_.ledger() ? recheck_.ledger()->leased(id) : 0);
}

// One unit each in turn, from the worker on that follows the last one: a few units are shared among all. `end` is asked
// before each grant.
template <class MayServe, class Granted>
void Core::grant_in_turn(UnitLedger& ledger, const std::function<UnitNumber()>& end, MayServe may_serve,
                         Granted granted, Time now) {
  if (!ledger.has_work(end())) return;
  std::vector<WorkerId> connected;
  for (const auto& [id, worker] : workers_) connected.push_back(id);
  std::ranges::rotate(connected, std::ranges::upper_bound(connected, last_granted_));
  for (bool any = true; any && ledger.has_work(end());) {
    any = false;
    for (const WorkerId id : connected) {
      if (open(id) >= workers_.at(id).credits) continue;
      const auto unit = ledger.grant(id, end(), connected, may_serve, now);
      if (!unit) continue;
      granted(id, *unit);
      last_granted_ = id;
      any = true;
    }
  }
}

bool Core::can_sample(WorkerId id, std::uint32_t version) const {
  const Worker& worker = workers_.at(id);
  return worker.credits > 0 && worker.can("sample", version);
}

bool Core::may_draw(WorkerId id, UnitNumber unit) const {
  const auto version = rollout_.version_for(unit * run_.unit);
  return version && can_sample(id, *version) && jury_.may_draw(id, unit);
}

bool Core::may_recheck(WorkerId id, UnitNumber place) const {
  return can_sample(id, recheck_.at(place).data.version) && recheck_.may_draw(id, place);
}

// Whether no other worker than this one can draw a unit now.
template <class MayDraw>
bool Core::alone(WorkerId id, MayDraw may_draw) const {
  return std::ranges::none_of(workers_, [&](const auto& entry) { return entry.first != id && may_draw(entry.first); });
}

void Core::send_grant(WorkerId id, UnitNumber unit, std::uint32_t version) {
  CoordinatorMessage message;
  auto* grant = message.mutable_sample();
  grant->set_first_unit(unit);
  grant->set_units(1);
  grant->set_unit_size(static_cast<std::uint32_t>(run_.unit));
  grant->set_version(version);
  grant->set_lease_seconds(run_.chain.lease_seconds);
  send(id, std::move(message));
}

void Core::grant_units(Time now) {
  if (!extends()) return;
  const auto end = [&] {
    place_switches();
    return end_.index() / run_.unit;
  };
  grant_in_turn(
      ledger_, end, [&](WorkerId id, UnitNumber unit) { return may_draw(id, unit); },
      [&](WorkerId id, UnitNumber unit) { send_grant(id, unit, *rollout_.version_for(unit * run_.unit)); }, now);
}

// Units of the log come before new ones.
void Core::grant_rechecks(Time now) {
  UnitLedger* ledger = recheck_.ledger();
  if (!ledger || !stalled_.empty() || !halted_.empty() || closing()) return;
  grant_in_turn(
      *ledger, [&] { return recheck_.end(); }, [&](WorkerId id, UnitNumber place) { return may_recheck(id, place); },
      [&](WorkerId id, UnitNumber place) {
        const UnitData& data = recheck_.at(place).data;
        send_grant(id, data.first_index / run_.unit, data.version);
      },
      now);
}

bool Core::helps(WorkerId id, const Worker& worker) const {
  return worker.credits > 0 && worker.can(gradient_capability().c_str()) && sharing_.trusts(id);
}

std::uint32_t Core::helpers() const {
  if (closing() || only_recheck_) return 0;
  return static_cast<std::uint32_t>(std::count_if(workers_.begin(), workers_.end(),
                                                  [&](const auto& entry) { return helps(entry.first, entry.second); }));
}

void Core::grant_gradients(Time now) {
  UnitLedger* ledger = sharing_.ledger();
  if (!ledger || closing() || only_recheck_) return;
  grant_in_turn(
      *ledger, [&] { return sharing_.end(); }, [&](WorkerId id, UnitNumber) { return helps(id, workers_.at(id)); },
      [&](WorkerId id, UnitNumber number) {
        for (CoordinatorMessage& message : sharing_.granted(id, number)) send(id, std::move(message));
      },
      now);
}

}  // namespace flowloom
