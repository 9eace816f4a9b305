#include "coordinator/core.h"

#include <algorithm>
#include <cmath>

#include "chain/status_reply.h"
#include "flow/catalog.h"
#include "program/limits.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;

Time lease_of(const RunSpec& run) { return Time(static_cast<std::int64_t>(1000 * run.chain.lease_seconds)); }

}  // namespace

Core::Core(const RunSpec& run, Recovered recovered, std::uint64_t snapshot_every)
    : run_(run),
      run_id_(recovered.run_id),
      epoch_(recovered.epoch),
      head_(recovered.head),
      durable_build_(recovered.pinned_build),
      durable_(recovered.log ? std::move(*recovered.log) : LogState(run)),
      ledger_(durable_.frontier() / run.unit, run.chain.window, lease_of(run)),
      jury_(run.noise_key(), run.chain.audit, redraw_tolerance(run.numerics)),
      recheck_(run.noise_key(), redraw_tolerance(run.numerics), lease_of(run)),
      rollout_(run, recovered.models, recovered.fulfilled, recovered.switches),
      chain_(run.noise_key(), durable_.frontier(), durable_.current()),
      sums_(theory_sums(make_theory(run.theory)).size()),
      recorded_switches_(durable_.switches()),
      quarantined_(quarantined_names(recovered.workers)),
      snapshot_every_(snapshot_every),
      snapshot_at_(durable_.frontier()),
      build_(recovered.pinned_build),
      sharing_(architecture_of(run)->parameter_count(), training_identity(run), lease_of(run)),
      end_(durable_.end()) {
  training_.set_ess(std::nan(""));
  for (const WorkerRow& row : recovered.workers) {
    last_worker_ = std::max(last_worker_, row.number);
    names_[row.number] = row.name;
    witnesses_.emplace(row.name, row.number);
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

// ---------------------------------------------------------------------------------------------- decisions from outside

void Core::halt(const std::string& sentence) {
  if (halted_.empty()) halted_ = sentence;
}

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

void Core::share(const flowloom::v1::GradientStep& step) {
  for (auto& [id, message] : sharing_.offer(step)) send(id, std::move(message));
}

void Core::tick(Time now) {
  const auto expired = [&](UnitLedger& ledger) {
    auto leases = ledger.expire(now);
    for (const auto& [unit, id] : leases) ++workers_.at(id).expired;
    return leases;
  };
  for (const auto& [unit, id] : expired(ledger_)) owes(id, unit, now);
  if (UnitLedger* ledger = recheck_.ledger()) {
    for (const auto& [place, id] : expired(*ledger)) owes(id, recheck_.at(place).data.first_index / run_.unit, now);
  }
  if (UnitLedger* ledger = sharing_.ledger()) expired(*ledger);
  for (auto& [id, worker] : workers_) worker.silent = worker.owes_since && *worker.owes_since + lease_of(run_) <= now;
  settle();
  if (reweigh_) reweigh_->expire(now);
  retry_ = true;
  progress_.emplace_back(now, durable_frontier());
  while (progress_.size() > 2 && progress_.front().first + std::chrono::seconds(5) < now)
    progress_.erase(progress_.begin());
}

void Core::recheck(const UnitSample& sample) {
  recheck_.begin_sample(sample);
  dismissed_ = false;
}

void Core::read(std::uint64_t query, std::vector<UnitRecord> units) {
  for (UnitRecord& unit : units) {
    for (std::uint64_t* author : {&unit.worker, &unit.second}) {
      if (const auto name = names_.find(*author); name != names_.end()) *author = witnesses_.at(name->second);
    }
  }
  recheck_.read(query, std::move(units));
}

void Core::only_recheck(const UnitSample& sample) {
  only_recheck_ = true;
  recheck(sample);
}

void Core::drain(bool for_good) {
  draining_ = true;
  for_good_ = for_good_ || for_good;
  dismiss();
}

void Core::dismiss() {
  dismissed_ = true;
  for (const auto& [id, worker] : workers_) send(id, goodbye());
}

CoordinatorMessage Core::goodbye() const {
  CoordinatorMessage message;
  const bool comes_back = !nothing_left() && !for_good_;
  message.mutable_goodbye()->set_sentence(nothing_left() ? "There is no more to do."
                                          : for_good_    ? "The run was drained."
                                                         : "The coordinator is going down.");
  message.mutable_goodbye()->set_reconnect_after_seconds(
      comes_back ? std::chrono::duration<double>(limits::kComeBack).count() : 0);
  return message;
}

bool Core::finished() const {
  if (nothing_left()) return true;
  return draining_ &&
         (!stalled_.empty() || (all_is_written() && ledger_.running() == 0));  // what is not on disk is redrawn
}

// ------------------------------------------------------------------------------------------------------------ the turn

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

// Decides on the switches that the next grant, or an "asap" version, asks for. Until they are durable nothing at or
// above them is granted.
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
  if (!write->quarantined.empty() && !recheck_.wrong()) recheck_.begin_doubtful();
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
      if (!reweigh_) reweigh_.emplace(chain_.current()->index, row.version, lease_of(run_));
      if (!reweigh_->log_q()) return false;
      pending_.records.push_back(row);
      pending_.records.push_back(ReweighRecord{reweigh_->index(), row.version, *reweigh_->log_q()});
      chain_.reweigh(*reweigh_->log_q());
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
  if (!reweigh_ || !reweigh_->wanted() || !extends()) return;
  std::vector<WorkerId> able;
  for (const auto& [id, worker] : workers_) {
    if (worker.can("reweigh", reweigh_->version())) able.push_back(id);
  }
  const auto worker = reweigh_->grant(able, now);
  if (!worker) return;
  const ChainState& state = *chain_.current();
  CoordinatorMessage message;
  auto* grant = message.mutable_reweigh();
  grant->set_index(state.index);
  grant->set_unit_size(static_cast<std::uint32_t>(run_.unit));
  grant->set_state_version(state.version);
  grant->set_version(reweigh_->version());
  grant->set_log_p(state.log_p);
  grant->set_log_q(state.drawn_log_q);
  grant->set_lease_seconds(run_.chain.lease_seconds);
  send(*worker, std::move(message));
}

std::size_t Core::open(WorkerId id) const {
  return ledger_.leased(id) + sharing_.open(id) + (recheck_.ledger() ? recheck_.ledger()->leased(id) : 0);
}

// One unit each in turn, from the worker on that follows the last one: a few units are shared among all; one that is
// silent gets what no other can serve. `end` is asked before each grant.
template <class MayServe, class Granted>
void Core::grant_in_turn(UnitLedger& ledger, const std::function<UnitNumber()>& end, MayServe may_serve,
                         Granted granted, Time now) {
  if (!ledger.has_work(end())) return;
  std::vector<WorkerId> connected;
  for (const auto& [id, worker] : workers_) connected.push_back(id);
  std::ranges::rotate(connected, std::ranges::upper_bound(connected, last_granted_));
  const auto gets = [&](WorkerId id, UnitNumber unit) {
    return may_serve(id, unit) && (!workers_.at(id).silent || std::ranges::none_of(connected, [&](WorkerId other) {
             return !workers_.at(other).silent && may_serve(other, unit);
           }));
  };
  for (bool any = true; any && ledger.has_work(end());) {
    any = false;
    for (const WorkerId id : connected) {
      if (open(id) >= workers_.at(id).credits) continue;
      const auto unit = ledger.grant(id, end(), connected, gets, now);
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
  return version && can_sample(id, *version) && jury_.may_draw(workers_.at(id).witness, unit);
}

bool Core::may_recheck(WorkerId id, UnitNumber place) const {
  return can_sample(id, recheck_.at(place).data.version) && recheck_.may_draw(workers_.at(id).witness, place);
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
