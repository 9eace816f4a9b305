// What the core hears: who joins and leaves, answers, failures, a trainer's reports.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "coordinator/core.h"
#include "program/limits.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Refusal;
using flowloom::v1::WorkerMessage;

constexpr int kFailuresToHalt = 3;

std::string difference(double by) { return by == 0 ? "in its observables" : "in log_w by up to " + std::to_string(by); }

// A peer's sentence, kept for the status.
std::string bounded(const std::string& sentence) {
  if (sentence.size() <= limits::kReasonBytes) return sentence;
  return "a reason of " + std::to_string(sentence.size()) + " bytes";
}

}  // namespace

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
    return "The worker '" + found->first + "' is in quarantine: " + found->second.reason() +
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
  const auto known = witnesses_.find(hello.name());
  worker.witness = known == witnesses_.end() ? id : known->second;
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
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  const Worker& worker = found->second;
  if (witnesses_.contains(worker.hello.name())) {
    Tally& tally = ended_[worker.hello.name()];
    tally.answered += worker.answered;
    tally.expired += worker.expired;
  }
  workers_.erase(found);
  ledger_.left(id);
  sharing_.left(id);
  recheck_.left(id);
  if (reweigh_) reweigh_->left(id);
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

// ---------------------------------------------------------------------------------------------------- answers to units

// Whether no other witness than this one can draw a unit now, and answers.
template <class MayDraw>
bool Core::alone(WorkerId witness, MayDraw may_draw) const {
  return std::ranges::none_of(workers_, [&](const auto& entry) {
    return entry.second.witness != witness && !entry.second.silent && may_draw(entry.first);
  });
}

// Its lease of a unit expired. The answer may still come, so others wait for it as long again.
void Core::owes(WorkerId id, UnitNumber unit, Time now) {
  Worker& worker = workers_.at(id);
  worker.owed.insert(unit);
  if (worker.owed.size() > limits::kCredits) worker.owed.erase(worker.owed.begin());
  if (!worker.owes_since) worker.owes_since = now;
}

// It gave an answer that it was asked for, be it late.
void Core::answered(WorkerId id, UnitNumber unit) {
  Worker& worker = workers_.at(id);
  worker.owed.erase(unit);
  worker.owes_since.reset();
  worker.silent = false;
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
  if (workers_.at(id).owed.contains(answer.unit())) answered(id, answer.unit());
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
  const WorkerId witness = contributed(id);
  if (jury_.has_drawn(witness, unit) && !ledger_.holds(id, unit)) return;  // the same message once more
  ++workers_.at(id).answered;
  answered(id, unit);
  const bool nobody_else = alone(witness, [&](WorkerId other) { return may_draw(other, unit); });
  auto finding = jury_.heard(unit, witness, data_of(answer), rollout_.find(*version)->threshold, nobody_else);
  const auto wrong = std::exchange(finding.wrong, {});
  if (finding.numbers) {
    decide(unit, std::move(finding));
  } else {
    ledger_.again(unit, id);
  }
  proved_wrong(wrong, unit * run_.unit);
}

void Core::decide(UnitNumber unit, Jury::Finding finding) {
  ledger_.answered(unit);
  answers_.emplace(unit, Answer{std::move(*finding.numbers), finding.worker, finding.second});
}

UnitData Core::data_of(const flowloom::v1::SampleAnswer& answer) const {
  UnitData data{answer.unit() * run_.unit, answer.version(), unpack(answer.log_p()), unpack(answer.log_q()),
                unpack(answer.sums())};
  for (auto* values : {&data.log_p, &data.log_q, &data.sums}) canonicalize(*values);
  return data;
}

// What a worker draws stands in the log with its witness's number, which is durable no later.
WorkerId Core::contributed(WorkerId id) {
  Worker& worker = workers_.at(id);
  const std::string& name = worker.hello.name();
  const auto [known, is_new] = witnesses_.emplace(name, id);
  if (is_new) {
    names_[id] = name;
    pending_.workers.push_back({id, name, worker.hello.device()});
  }
  return worker.witness = known->second;
}

// -------------------------------------------------------------------------------------------------------------- rule 9

// What one worker has drawn twice while others could have drawn it, who have left since or do not answer.
void Core::settle() {
  const auto alone_with = [&](auto may) {
    return [this, may](WorkerId witness, UnitNumber unit) {
      const bool here =
          std::ranges::any_of(workers_, [&](const auto& entry) { return entry.second.witness == witness; });
      return here && alone(witness, [&](WorkerId other) { return (this->*may)(other, unit); });
    };
  };
  while (auto settled = jury_.settle(alone_with(&Core::may_draw))) decide(settled->first, std::move(settled->second));
  if (recheck_.settle(alone_with(&Core::may_recheck))) take_rechecked();
}

// A unit of the log, drawn again. What comes late, or was not asked for, is the unit's old answer; and where one is
// wrong nothing more is compared.
void Core::logged_unit_answered(WorkerId id, const flowloom::v1::SampleAnswer& answer) {
  const auto place = recheck_.place_of(answer.unit() * run_.unit);
  if (recheck_.wrong() || !place || !recheck_.ledger()->holds(id, *place) ||
      answer.version() != recheck_.at(*place).data.version)
    return;
  const WorkerId witness = contributed(id);
  ++workers_.at(id).answered;
  answered(id, answer.unit());
  const bool nobody_else = alone(witness, [&](WorkerId other) { return may_recheck(other, *place); });
  const auto wrong = recheck_.heard(*place, id, witness, data_of(answer), nobody_else);
  take_rechecked();
  proved_wrong(wrong, answer.unit() * run_.unit);
}

void Core::take_rechecked() {
  std::ranges::copy(recheck_.take_confirmed(), std::back_inserter(pending_.confirmed));
  if (const auto& unit = recheck_.wrong()) {
    const std::string number = std::to_string(unit->first_index / run_.unit);
    const std::string author = names_.at(unit->worker);
    if (!quarantine(author, "unit " + number + " of the chain, which it drew, was proved wrong (" +
                                difference(unit->by) + ")")) {
      auto& row = quarantined_.at(author);
      row.set_wrong_units(row.wrong_units() + 1);
    }
    halt("Unit " + number + " of the chain is wrong: worker " + std::to_string(unit->worker) +
         " drew it, and others who draw it again agree on other numbers (they differ " + difference(unit->by) + "). '" +
         author +
         "' is in quarantine. Everything from there on is in doubt; end the coordinator, leave it behind with "
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
// chain; what is, once this is durable. Returns false if it was in quarantine already.
bool Core::quarantine(const std::string& name, const std::string& reason) {
  const auto [found, is_new] = quarantined_.try_emplace(name);
  if (!is_new) return false;
  pending_.quarantined.emplace_back(name, reason);
  std::set<WorkerId> quarantined;
  for (const auto& [id, other] : names_) {
    if (quarantined_.contains(other)) quarantined.insert(id);
    if (other != name) continue;
    jury_.disbelieve(id);
    recheck_.disbelieve(id);
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
  auto& row = found->second;
  row.set_name(name);
  row.set_reason(reason);
  row.set_wrong_units(1);
  row.set_answered_units(ended_[name].answered);
  row.set_expired_units(ended_[name].expired);
  row.set_audited_units(jury_.compared(witnesses_.at(name)));
  return true;
}

// ------------------------------------------------------------------------------------------------------- other answers

void Core::reweigh_answered(WorkerId id, const flowloom::v1::ReweighAnswer& answer) {
  // Of those alone who have shown that they reproduce the version (rule 9): nobody else was asked.
  if (!reweigh_ || !reweigh_->awaits(id, answer.index(), answer.version())) return;
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
  reweigh_->answered(answer.log_q());
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
    if (workers_.at(id).owed.contains(failure.unit())) answered(id, failure.unit());
    const auto place = recheck_.place_of(failure.unit() * run_.unit);
    if ((place ? recheck_.ledger()->failed(id, *place) : ledger_.failed(id, failure.unit())) >= kFailuresToHalt) {
      halt("Unit " + std::to_string(failure.unit()) + " failed " + std::to_string(kFailuresToHalt) +
           " times, last because: " + reason + " It is never skipped; mend the cause and start again.");
    }
  } else if (failure.grant_case() == flowloom::v1::Failure::kReweighIndex && reweigh_ &&
             failure.reweigh_index() == reweigh_->index()) {
    if (reweigh_->failed(id) >= kFailuresToHalt) {
      halt("The reweigh of state " + std::to_string(failure.reweigh_index()) + " failed " +
           std::to_string(kFailuresToHalt) + " times, last because: " + reason + " Mend the cause and start again.");
    }
  }
}

void Core::reported(const flowloom::v1::TrainingReport& report, Time now) {
  training_ = report;
  training_.set_sentence(bounded(report.sentence()));
  training_heard_ = now;
}

}  // namespace flowloom
