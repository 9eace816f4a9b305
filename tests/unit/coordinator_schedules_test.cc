// The one idea, under fire: whatever workers, links, clocks, disks and restarts do, the chain's head is the same.
//
// Each schedule is a pseudo-random sequence of events (fixed seeds) until a random part of the chain is on disk, then a
// calm end in which everything still open is done. Against every schedule stands the chain of one plain loop
// (reference_log). A schedule that fails is run again and printed, event by event. Each test says at its end what
// happened in all its schedules together, and fails where that was too little (Coverage).
//
// The disk is a MemoryLog, on which the write under way when the coordinator dies is whole or not there. In one group
// (Faults::torn) a real store lies beside it, whose power goes out in the middle of that write (torn_store.h): it must
// hold the whole write or nothing of it, and the MemoryLog follows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <random>
#include <set>

#include "coordinator_world.h"
#include "torn_store.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::WorkerMessage;

struct Faults {
  bool losses = false;    // streams break, what is in flight is lost or comes late; answers vanish
  bool crashes = false;   // of the coordinator, at any event, and orderly drains; the write under way is on disk or not
  bool writes = false;    // that fail
  bool nonsense = false;  // failures, answers that nobody asked for
  bool lies = false;      // the first worker gives wrong numbers, sooner or later; lost, it stays away until a restart
  bool consistent = false;  // and always the same ones
  bool comes_back = false;  // and when it is lost, it comes again at once, under its name
  bool mute = false;  // in every second schedule there is one more worker, which keeps its stream and never answers
  bool torn = false;  // when the coordinator dies the power goes out, and the write under way is torn on a real store
};

struct Schedule {
  RunSpec run;
  int workers = 1;
  Faults faults;
  Numbers numbers;
  std::vector<std::string> checkpoints = {"a", "b", "c"};  // published in any order
};

// What happened under faults, before the calm end.
struct Coverage {
  std::uint64_t schedules = 0;
  std::uint64_t events = 0;
  std::uint64_t units = 0, calm_units = 0;  // committed: under faults, and after them
  std::uint64_t restarts = 0, failed_writes = 0, rewinds = 0;
  std::uint64_t reweighs = 0;           // schedules in which one was granted
  std::uint64_t kills_in_reweighs = 0;  // schedules in which the coordinator died between a grant and its record
  std::uint64_t unheard_lies = 0;       // schedules with lies of which nobody heard before all units were drawn again
  std::uint64_t torn = 0;               // power cuts that left a file torn
  std::uint64_t kept = 0, lost = 0;     // writes that were under way in a power cut

  Coverage& operator+=(const Coverage& other) {
    schedules += other.schedules;
    events += other.events;
    units += other.units, calm_units += other.calm_units;
    restarts += other.restarts, failed_writes += other.failed_writes, rewinds += other.rewinds;
    reweighs += other.reweighs, kills_in_reweighs += other.kills_in_reweighs;
    unheard_lies += other.unheard_lies;
    torn += other.torn, kept += other.kept, lost += other.lost;
    return *this;
  }
  std::string text() const {
    const auto each = [&](std::uint64_t count) {
      return std::to_string(static_cast<double>(count) / static_cast<double>(schedules)).substr(0, 4);
    };
    return std::to_string(schedules) + " schedules; in each, under faults: events " + each(events) + ", units " +
           each(units) + " (and " + each(calm_units) + " after), restarts " + each(restarts) + ", failed writes " +
           each(failed_writes) + ", rewinds " + each(rewinds) + "; share of schedules with a reweigh " +
           each(reweighs) + ", killed in it " + each(kills_in_reweighs) + ", with unheard lies " + each(unheard_lies) +
           "; files torn " + each(torn) + ", writes kept " + each(kept) + " and lost " + each(lost) + " in power cuts";
  }
};

class World {
 public:
  World(const Schedule& schedule, std::uint64_t seed, bool trace)
      : schedule_(schedule), run_(schedule.run), log_(run_), random_(seed), tracing_(trace) {
    if (schedule.faults.torn) store_.emplace(run_, seed);
    has_mute_ = schedule.faults.mute && chance(2);
    const std::size_t units = run_.length_in_units();
    kills_one_in_ = static_cast<unsigned>(20 * schedule.checkpoints.size());
    if (schedule.faults.lies) most_events_ = 600 + 600 * workers_.size();
    most_events_ += 600 + 300 * schedule.checkpoints.size() + 150 * workers_.size();
    write_fails_one_in_ = std::array{3u, 6u}[below(2)];
    faulty_until_ = run_.unit * (1 + std::max(below(units), below(units)));
    publishes_one_in_ = std::array{1u, 3u, 8u}[below(3)];
    consistent_salt_ = 1 + static_cast<std::uint32_t>(below(2));
    workers_.resize(static_cast<std::size_t>(schedule.workers + has_mute_));
    for (std::uint32_t i = 0; i < schedule.checkpoints.size(); ++i) unpublished_.push_back(i);
  }

  // Returns what went wrong, or "".
  std::string play() {
    start();
    if (!chance(8)) publish(0);
    for (; covered_.events < most_events_ && wrong_.empty(); ++covered_.events) {
      if (log_.frontier() >= faulty_until_ && !in_doubt()) break;
      event();
    }
    note("-- calm");
    calm_ = true;
    end();
    covered_.unheard_lies = lied_ && core_->status(now_).quarantined().empty();
    if (wrong_.empty() && covered_.unheard_lies > 0) recheck();
    if (wrong_.empty() &&
        head_of(run_, plain(log_.chain())) != head_of(run_, reference_log(run_, log_, schedule_.numbers))) {
      wrong_ = "the chain differs from the one of a plain loop";
    }
    if (wrong_.empty()) check_snapshot();
    if (wrong_.empty() && store_ && store_->contents() != TornStore::contents_of(log_)) {
      wrong_ = "the store has " + store_->contents() + " and not " + TornStore::contents_of(log_);
    }
    return wrong_;
  }

  const MemoryLog& log() const { return log_; }
  const Coverage& covered() const { return covered_; }
  const std::vector<std::string>& trace() const { return trace_; }
  const std::vector<std::string>& grants() const { return grants_; }

 private:
  struct Peer {
    WorkerId id = 0;  // 0: away
    std::deque<CoordinatorMessage> inbox;
    std::set<std::uint32_t> ready;      // versions that it said it can draw
    std::vector<WorkerMessage> outbox;  // on the way, in no order; survives the stream as late answers
  };

  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  void note(const std::string& line) {
    if (tracing_) trace_.push_back(line);
  }
  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
    note("!! " + what);
  }

  static std::vector<Record> plain(std::vector<Record> records) {
    std::erase_if(records, [](const Record& record) { return std::holds_alternative<RewindRecord>(record); });
    return records;
  }

  std::string name_of(const Peer& peer) const { return "worker " + std::to_string(&peer - workers_.data()); }
  bool is_liar(const Peer& peer) const { return schedule_.faults.lies && &peer == workers_.data(); }
  // Others are never away: each unit that the liar draws can be drawn by them, too.
  bool only_liar_leaves() const { return schedule_.faults.comes_back && !schedule_.faults.losses; }
  bool others_can_draw(std::uint32_t version) const {
    return std::all_of(workers_.begin() + 1, workers_.end(),
                       [&](const Peer& peer) { return peer.id != 0 && peer.ready.contains(version); });
  }
  bool is_mute(const Peer& peer) const { return has_mute_ && &peer == &workers_.back(); }

  void end() {
    for (int i = 0; i < 4000 && wrong_.empty() && !(core_->finished() && core_->complete() && !draining_); ++i)
      calm_event();
    if (wrong_.empty() && !core_->complete())
      wrong_ = "the chain never ends: " + core_->status(now_).ShortDebugString();
  }

  // Whether it is not decided yet what a liar that was found has left in the log.
  bool in_doubt() const {
    const auto quarantined = [](const WorkerRow& row) { return !row.quarantined.empty(); };
    return covered_.rewinds == 0 && std::ranges::any_of(log_.workers, quarantined) && !core_->finished();
  }

  // All units are drawn again, by all but the liar.
  void recheck() {
    note("-- recheck");
    for (Peer& peer : workers_) peer = {};
    liar_is_away_ = true;
    start();
    if (!wrong_.empty()) return;
    core_->recheck({1, 1});
    end();
  }

  bool is_wrong(const UnitRecord& row) const {
    UnitData right =
        schedule_.numbers.unit(row.data.first_index / run_.unit, run_.unit, log_.models.at(row.data.version - 1));
    for (auto* values : {&right.log_p, &right.log_q, &right.sums}) canonicalize(*values);
    return pack(right.log_p) != pack(row.data.log_p);
  }

  // What the operator is told to do where a unit of the chain is wrong.
  void rewind() {
    const auto status = core_->status(now_);
    if (status.state() != flowloom::v1::StatusReply::STATE_HALTED) return;
    if (!status.sentence().starts_with("Unit ")) return fail("it halted: " + status.sentence());
    die();
    const std::uint64_t unit = std::stoull(status.sentence().substr(5));
    std::optional<std::uint64_t> first;
    WorkerId author = 0;
    for (const Record& record : log_.chain()) {
      const auto* row = std::get_if<UnitRecord>(&record);
      if (row && !first && is_wrong(*row)) first = row->data.first_index / run_.unit, author = row->worker;
    }
    if (first != unit) return fail("it names unit " + std::to_string(unit) + " as the first wrong one");
    const auto row = std::ranges::find(log_.workers, author, &WorkerRow::number);
    if (row == log_.workers.end() || row->quarantined.empty()) return fail("who drew it is not in quarantine");
    note("the operator rewinds to unit " + std::to_string(unit));
    const Write left_behind{.records = {RewindRecord{unit * run_.unit, "wrong"}}};
    log_.keep(left_behind);
    if (store_) store_->store().write(left_behind);
    if (!calm_) ++covered_.rewinds;
    start_again();
  }

  void start() {
    disk_.reset();
    stalled_ = draining_ = reweighing_ = false;
    if (!wrong_.empty()) return;
    if (store_) store_->store().begin_epoch();
    try {
      core_ = start_core_from_snapshot(run_, log_, kSnapshotEvery);
      if (!core_) fail("its own snapshot is refused");
    } catch (const Error& error) {
      fail(std::string("its own log is refused: ") + error.what());
    }
  }

  void event() {
    Peer& peer = workers_[below(workers_.size())];
    if (draining_ && chance(8)) return crash();
    if (delicate_ > 0) {  // a switch or a reweigh is under way
      --delicate_;
      if (schedule_.faults.crashes && chance(kills_one_in_)) return crash();
      if (schedule_.faults.losses && !is_mute(peer) && chance(20)) return lose(peer);
    }
    if (schedule_.faults.torn && disk_ && chance(40)) return crash();
    if (lied_ && chance(16)) return rewind();
    switch (below(20)) {
      case 0:
        if (!unpublished_.empty() && chance(publishes_one_in_)) publish(below(unpublished_.size()));
        break;
      case 1:
        tick(Time{100});
        break;
      case 2:
        tick(chance(4) ? Time{6000} : Time{500});
        break;
      case 3:
        if (schedule_.faults.losses && !is_mute(peer) && chance(is_liar(peer) ? 12 : 3))
          chance(2) ? lose(peer) : lose_answer(peer);
        if (only_liar_leaves() && is_liar(peer) && chance(2)) lose(peer);
        break;
      case 4:
        if (schedule_.faults.crashes && chance(20)) crash();
        break;
      case 5:
        if (schedule_.faults.nonsense && !is_mute(peer)) nonsense(peer);
        break;
      case 6:
        if (chance(4)) check_status();
        break;
      case 7:
        if (peer.id != 0 && !is_mute(peer) && chance(4))
          credits(peer, static_cast<std::uint32_t>(below(4) + (only_liar_leaves() ? 1 : 0)));
        break;
      case 8:
      case 9:
      case 10:
      case 11:
        peer.id == 0 ? join(peer) : read(peer);
        break;
      case 12:
      case 13:
      case 14:
      case 15:
        finish_write();
        break;
      default:
        deliver(peer);
    }
  }

  // The write under way comes to its end.
  void finish_write() {
    if (!disk_) return;
    const auto write = std::exchange(disk_, {});
    if (!calm_ && schedule_.faults.writes && chance(write_fails_one_in_)) {
      note("  the write fails");
      ++covered_.failed_writes;
      stalled_ = true;
      core_->write_failed("The store cannot be written (no room).");
    } else {
      note("  the write is on disk: " + std::to_string(write->records.size()) + " records");
      stalled_ = false;
      if (store_) store_->store().write(*write);
      keep(*write);
      core_->written(log_.head());
    }
    take();
  }

  void keep(const Write& write) {
    log_.keep(write);
    for (const Record& record : write.records) {
      if (const auto* row = std::get_if<UnitRecord>(&record)) {
        ++(calm_ ? covered_.calm_units : covered_.units);
        if (only_liar_leaves() && is_wrong(*row)) fail("a wrong unit is in the chain, and others could draw it");
      }
      if (std::holds_alternative<ReweighRecord>(record)) reweighing_ = false;
    }
    for (const auto& [name, why] : write.quarantined) {
      if (!schedule_.faults.lies || name != name_of(workers_.front())) fail(name + " was right and is in quarantine");
    }
  }

  // Everything works but a mute worker: each is connected and does what it is asked, in order; time goes on.
  void calm_event() {
    while (!unpublished_.empty()) publish(below(unpublished_.size()));
    for (Peer& peer : workers_) {
      if (liar_is_away_ && is_liar(peer)) continue;
      if (peer.id == 0) join(peer);
      while (!peer.inbox.empty()) read(peer);
      while (peer.id != 0 && !peer.outbox.empty()) deliver(peer);
      while (disk_) finish_write();
    }
    tick(Time{1500});
    while (disk_) finish_write();
    if (core_->finished() && draining_) crash();
    rewind();
  }

  void publish(std::size_t which) {
    const std::uint32_t entry = unpublished_[which];
    unpublished_.erase(unpublished_.begin() + static_cast<std::ptrdiff_t>(which));
    note("publish " + schedule_.checkpoints[entry]);
    const bool asap = run_.chain.asap;
    const std::vector<std::uint32_t> entries = asap ? std::vector<std::uint32_t>{} : std::vector<std::uint32_t>{entry};
    const ModelRow row = log_.publish(schedule_.checkpoints[entry], entries);
    if (store_) store_->store().add_model(row, entries);
    if (schedule_.faults.crashes && chance(6)) return crash();  // on disk, and nobody was told
    core_->published(row, entries);
    take();
  }

  void join(Peer& peer) {
    if (is_liar(peer) && lied_ && !schedule_.faults.comes_back && liar_came_in_ == log_.epoch) return;
    if (is_liar(peer)) liar_came_in_ = log_.epoch;
    auto message = hello(1 + static_cast<std::uint32_t>(below(4)));
    message.set_name(name_of(peer));
    peer.inbox.clear();
    peer.ready.clear();
    if (!schedule_.faults.losses || chance(2)) peer.outbox.clear();
    peer.id = core_->joined(message, now_);
    note(name_of(peer) + " joins as " + std::to_string(peer.id));
    take();
  }

  // The stream goes on without it: only where another worker can take the unit over.
  void lose_answer(Peer& peer) {
    if (peer.id == 0 || workers_.size() < 2 || peer.outbox.empty()) return;
    const std::size_t which = below(peer.outbox.size());
    if (!peer.outbox[which].has_sample() && !peer.outbox[which].has_reweigh()) return;
    note("an answer of worker " + std::to_string(peer.id) + " vanishes");
    peer.outbox.erase(peer.outbox.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void lose(Peer& peer) {
    if (peer.id == 0) return;
    note("worker " + std::to_string(peer.id) + " is lost");
    const WorkerId id = std::exchange(peer.id, 0);
    peer.inbox.clear();
    core_->left(id);
    take();
  }

  void crash() {
    if (!draining_ && chance(2)) {
      note("drain");
      draining_ = true;
      core_->drain();
      take();
      if (!calm_) return;
    }
    die();
    start_again();
  }

  void die() {
    note("the coordinator dies");
    if (!calm_ && reweighing_) covered_.kills_in_reweighs = 1;
    if (store_ ? survives_power_cut() : disk_ && chance(2)) {
      note("  what was under way to the disk had come there");
      keep(*disk_);
    }
    disk_.reset();
  }

  // Whether the write under way, which is torn now, is in the store. It holds all of it, or nothing.
  bool survives_power_cut() {
    MemoryLog with_write = log_;
    if (disk_) with_write.keep(*disk_);
    const std::uint64_t torn = store_->torn();
    std::string left;
    try {
      store_->lose_power(disk_.get());
      left = store_->contents();
    } catch (const Error& error) {
      fail(std::string("the store is refused after a power cut: ") + error.what());
      return false;
    }
    const bool kept = disk_ && left == TornStore::contents_of(with_write);
    if (!kept && left != TornStore::contents_of(log_)) {
      fail("after a power cut the store has " + left + " and not " + TornStore::contents_of(log_) + ", nor the write");
    }
    if (disk_) ++(kept ? covered_.kept : covered_.lost);
    covered_.torn += store_->torn() - torn;
    return kept;
  }

  void start_again() {
    note("the coordinator starts again");
    if (!calm_) ++covered_.restarts;
    for (Peer& peer : workers_) {
      peer.id = 0;
      peer.inbox.clear();
      std::erase_if(peer.outbox, [](const WorkerMessage& message) { return message.has_failure(); });  // see failures_
    }
    highest_granted_ = 0;  // grants are not remembered: what the dead process granted is judged by its unit number
    failures_.clear();
    start();
    if (!wrong_.empty()) return;
    take();
    check_status();
  }

  void credits(Peer& peer, std::uint32_t count) {
    note("worker " + std::to_string(peer.id) + " takes " + std::to_string(count));
    WorkerMessage message;
    message.mutable_credit()->set_credits(count);
    say(peer, message);
    if (count == 0) lose(peer);  // "it is about to leave"
  }

  // The worker handles one message.
  void read(Peer& peer) {
    if (peer.inbox.empty()) return;
    const CoordinatorMessage message = peer.inbox.front();
    peer.inbox.pop_front();
    const auto model = [&](std::uint32_t version) -> const ModelRow& { return log_.models.at(version - 1); };
    if (message.has_prepare()) peer.outbox.push_back(ready(message.prepare().version().version()));
    if (is_mute(peer)) return;
    if (message.has_sample()) {
      const auto& grant = message.sample();
      if (schedule_.faults.nonsense && !calm_ && chance(8) && failures_[grant.first_unit()]++ < 2) {
        peer.outbox.push_back(failure(grant.first_unit()));
        return;
      }
      Numbers numbers = schedule_.numbers;
      if (is_liar(peer) && (lying_ = lying_ || chance(3)) &&
          (!only_liar_leaves() || others_can_draw(grant.version()))) {
        numbers.salt += schedule_.faults.consistent ? consistent_salt_ : 1 + static_cast<std::uint32_t>(below(2));
        lied_ = true;
      }
      peer.outbox.push_back(numbers.sample(grant.first_unit(), run_.unit, model(grant.version())));
    }
    if (message.has_reweigh()) {
      if (schedule_.faults.nonsense && !calm_ && chance(4) && failures_[message.reweigh().index() + 1'000'000]++ < 2) {
        peer.outbox.emplace_back().mutable_failure()->set_reweigh_index(message.reweigh().index());
        return;
      }
      peer.outbox.push_back(schedule_.numbers.reweigh(message.reweigh(), model(message.reweigh().version())));
    }
  }

  // One of its messages arrives, any; sometimes it arrives twice.
  void deliver(Peer& peer) {
    if (peer.id == 0 || peer.outbox.empty()) return;
    const std::size_t which = calm_ ? 0 : below(peer.outbox.size());
    const WorkerMessage message = peer.outbox[which];
    if (calm_ || message.has_failure() || !chance(6))
      peer.outbox.erase(peer.outbox.begin() + static_cast<std::ptrdiff_t>(which));
    say(peer, message);
  }

  void nonsense(Peer& peer) {
    if (peer.id == 0 || log_.models.empty()) return;
    WorkerMessage message = schedule_.numbers.sample(below(run_.length_in_units() + 8), run_.unit, log_.models.front());
    switch (below(5)) {
      case 0:
        message.mutable_sample()->set_version(static_cast<std::uint32_t>(77));
        break;
      case 1:
        if (failures_[message.sample().unit()]++ >= 2) return;
        message.mutable_sample()->mutable_sums()->pop_back();
        break;
      case 2:
        message.mutable_reweigh()->set_index(below(100));
        break;
      case 3:
        message = ready(static_cast<std::uint32_t>(99));
        break;
      default:
        break;  // a unit that nobody leased, with the right numbers or the wrong version
    }
    note("nonsense from worker " + std::to_string(peer.id));
    say(peer, message);
  }

  void say(Peer& peer, const WorkerMessage& message) {
    if (tracing_) {
      note("worker " + std::to_string(peer.id) + " says " +
           (message.has_sample() ? "unit " + std::to_string(message.sample().unit()) + " under " +
                                       std::to_string(message.sample().version())
                                 : message.ShortDebugString()));
    }
    if (message.has_ready()) peer.ready.insert(message.ready().version());
    core_->received(peer.id, message);
    take();
  }

  void tick(Time step) {
    now_ += step;
    note("tick " + std::to_string(step.count()));
    core_->tick(now_);
    take();
  }

  // What the core sends must fit what is on disk at this moment. Sometimes several events share a turn.
  void take() {
    if (!calm_ && chance(4)) return;
    core_->turn(now_);
    if (!disk_ && (disk_ = core_->take_write())) {
      const auto delicate = [](const Record& record) { return !std::holds_alternative<UnitRecord>(record); };
      if (!disk_->switches.empty() || std::ranges::any_of(disk_->records, delicate)) delicate_ = kDelicate;
    }
    if (calm_ || chance(2)) log_.read_for(*core_);
    for (Core::Outgoing& out : core_->take_outgoing()) {
      if (out.message.has_sample()) check_grant(out.worker, out.message.sample());
      if (out.message.has_reweigh()) {
        note("  reweigh to " + std::to_string(out.worker));
        grants_.push_back("reweigh under " + std::to_string(out.message.reweigh().version()));
        if (stalled_) fail("a reweigh was granted after a failed write");
        delicate_ = kDelicate;
        reweighing_ = true;
        if (!calm_) covered_.reweighs = 1;
      }
      for (Peer& peer : workers_) {
        if (peer.id != out.worker) continue;
        if (out.last) peer.id = 0;
        peer.inbox.push_back(std::move(out.message));
        break;
      }
    }
  }

  void check_grant(WorkerId worker, const flowloom::v1::SampleGrant& grant) {
    const std::string name = "unit " + std::to_string(grant.first_unit()) + " under " + std::to_string(grant.version());
    note("  " + name + " to " + std::to_string(worker));
    grants_.push_back(name + " to " + std::to_string(worker));
    const std::uint64_t index = grant.first_unit() * run_.unit;
    const SwitchRecord* serving = log_.serving(index);
    if (stalled_) fail(name + " was granted after a failed write");
    if (!serving) return fail(name + " was granted before any switch was on disk");
    if (serving->version != grant.version()) fail(name + " was granted, but another version serves there");
    if (!log_.models.at(grant.version() - 1).verified) fail(name + " was granted, but nobody verified the version");
    if (!run_.chain.asap) {
      for (const ScheduledVersion& entry : run_.chain.versions) {
        if (entry.from <= index && entry.from > serving->from) fail(name + " was granted above an unplaced switch");
      }
    }
    if (index < log_.frontier() && !lied_) fail(name + " was granted below the frontier");
    if (index >= log_.frontier() + run_.chain.window * run_.unit) fail(name + " was granted above the window");
    if (index >= run_.length_in_units() * run_.unit) fail(name + " was granted above the end");
    if (!log_.switches.empty() && run_.chain.asap && log_.switches.size() > known_switches_) {
      for (; known_switches_ < log_.switches.size(); ++known_switches_) {
        if (log_.switches[known_switches_].from < highest_granted_) fail("a switch was placed below what was granted");
      }
    }
    highest_granted_ = std::max(highest_granted_, index + run_.unit);
  }

  void check_status() {
    const auto status = core_->status(now_);
    std::uint64_t accepted = 0;
    for (const Record& record : log_.chain()) {
      if (const auto* unit = std::get_if<UnitRecord>(&record)) {
        accepted += static_cast<std::uint64_t>(std::count(unit->accepted.begin(), unit->accepted.end(), 1));
      }
    }
    if (status.proposals() != log_.frontier()) fail("the status shows a frontier that is not on disk");
    if (status.accepted() != accepted) fail("the status shows another number of accepted proposals than the log");
    if (status.head() != to_hex(log_.head())) fail("the status shows another head than the log's");
    if (static_cast<std::size_t>(status.models().switches_size()) != log_.switches.size()) {
      fail("the status shows a switch that is not on disk");
    }
  }

  // A start from the last snapshot knows what one from the whole log knows.
  void check_snapshot() {
    const auto status_of = [&](const std::unique_ptr<Core>& core) {
      auto status = core->status(now_);
      status.clear_epoch();
      return status.SerializeAsString();
    };
    if (status_of(start_core(run_, log_)) != status_of(start_core_from_snapshot(run_, log_, kSnapshotEvery))) {
      fail("a start from the last snapshot shows another status than one from the log");
    }
  }

  static constexpr std::uint64_t kSnapshotEvery = 16;
  static constexpr int kDelicate = 10;  // events in which a kill is likely

  const Schedule& schedule_;
  const RunSpec& run_;
  MemoryLog log_;
  std::optional<TornStore> store_;  // of the same, where the fault is asked for
  std::mt19937_64 random_;
  std::unique_ptr<Core> core_;
  std::vector<Peer> workers_;
  std::vector<std::uint32_t> unpublished_;
  std::map<std::uint64_t, int> failures_;  // made so far in this epoch: the third would halt the run
  Time now_{0};
  std::uint64_t highest_granted_ = 0;
  std::size_t known_switches_ = 0;
  std::shared_ptr<const Write> disk_;  // under way
  bool stalled_ = false, calm_ = false, tracing_ = false;
  bool draining_ = false;
  bool reweighing_ = false;                           // granted by this process, and its record is not on disk
  int delicate_ = 0;                                  // so many events are left of these
  std::uint64_t faulty_until_ = 0, most_events_ = 0;  // the faults end once so much is on disk, or after so many
  unsigned write_fails_one_in_ = 1, publishes_one_in_ = 1, kills_one_in_ = 1;
  bool lying_ = false, lied_ = false, liar_is_away_ = false;
  std::uint64_t liar_came_in_ = 0;  // the last epoch
  std::uint32_t consistent_salt_ = 0;
  bool has_mute_ = false;
  Coverage covered_{.schedules = 1};
  std::string wrong_;
  std::vector<std::string> trace_, grants_;
};

// Under a sanitizer one in so many: the release build plays over 100 000.
#ifdef FLOWLOOM_SANITIZED
constexpr int kTimes = 1;
#else
constexpr int kTimes = 15;
#endif

std::string lines_of(const World& world) {
  std::string lines;
  for (const std::string& line : world.trace()) lines += line + "\n";
  return lines;
}

// One schedule alone, printed event by event; what only several show together (the same head) is not looked at.
void play_alone(const Schedule& schedule, std::uint64_t seed) {
  World world(schedule, seed, true);
  const std::string wrong = world.play();
  std::cout << lines_of(world) << "head " << to_hex(world.log().head()) << "\n";
  EXPECT_EQ(wrong, "") << "seed " << seed;
}

// A schedule that waits for something while nothing goes wrong shows nothing.
void assert_covered(const Schedule& schedule, const Coverage& covered) {
  const std::uint64_t count = covered.schedules;
  if (kTimes == 1) return;  // too few to tell
  EXPECT_GT(covered.units, 2 * (covered.units + covered.calm_units) / 5);
  EXPECT_GT(covered.reweighs, schedule.numbers.first_valid > 0 ? count / 4 : count / 2);
  if (schedule.faults.crashes) {
    EXPECT_GT(covered.restarts, count);
    EXPECT_GT(covered.kills_in_reweighs, count / 10);
  }
  if (schedule.faults.writes) {
    EXPECT_GT(covered.failed_writes, count);
  }
  if (schedule.faults.torn) {
    EXPECT_GT(covered.torn, count / 4);
    EXPECT_GT(covered.kept, count / 10);
    EXPECT_GT(covered.lost, count / 10);
  }
  if (schedule.faults.lies) {
    EXPECT_LT(covered.unheard_lies, 2 * count / 3);
  }
  if (schedule.faults.lies && schedule.run.chain.audit < 1) {
    EXPECT_GT(covered.rewinds, count / 40);
  }
}

// Plays `count` schedules, or as many times more as FLOWLOOM_CAMPAIGN says; stops at the first one that fails and
// prints it. FLOWLOOM_SCHEDULE names the seed of one that is played alone.
void play(const Schedule& schedule, std::uint64_t first_seed, int count) {
  if (const char* seed = std::getenv("FLOWLOOM_SCHEDULE")) return play_alone(schedule, std::stoull(seed));
  std::optional<Sha256> head;
  Coverage covered;
  count *= kTimes;
  first_seed *= 1000;
  if (const char* factor = std::getenv("FLOWLOOM_CAMPAIGN")) {
    count *= std::atoi(factor);
    first_seed *= 1000;  // seeds of its own
  }
  for (std::uint64_t seed = first_seed; seed < first_seed + static_cast<std::uint64_t>(count); ++seed) {
    World world(schedule, seed, false);
    std::string wrong = world.play();
    if (wrong.empty() && !schedule.run.chain.asap && !schedule.faults.lies) {
      if (head && *head != world.log().head()) wrong = "the head is not the one of other schedules";
      head = world.log().head();
    }
    covered += world.covered();
    if (wrong.empty()) continue;
    World again(schedule, seed, true);
    again.play();
    FAIL() << "seed " << seed << ", " << schedule.workers << " workers: " << wrong << "\n"
           << lines_of(again) << "head " << to_hex(world.log().head())
           << "\nTo play it alone: FLOWLOOM_SCHEDULE=" << seed << " and this test's name with --gtest_filter.";
  }
  std::cout << covered.text() << "\n";
  assert_covered(schedule, covered);
}

constexpr Faults kAll{.losses = true, .crashes = true, .writes = true, .nonsense = true, .mute = true};
constexpr Faults kAllAndLies{.losses = true, .crashes = true, .writes = true, .lies = true, .mute = true};
constexpr Faults kAllAndOneLie{
    .losses = true, .crashes = true, .writes = true, .lies = true, .consistent = true, .mute = true};
const RunText kScheduled{.length = 64, .window = 5, .switches = {0, 20, 40}};
const RunText kAsap{.length = 64, .window = 5, .switches = {}};

class EverySchedule : public testing::TestWithParam<int> {};

TEST_P(EverySchedule, GivesTheSameHeadWithAnswersInAnyOrder) {
  play({kScheduled.run(), GetParam(), {}, {}}, 1000, 150);
}
TEST_P(EverySchedule, GivesTheSameHeadWhenStreamsAndAnswersAreLost) {
  play({kScheduled.run(), GetParam(), {.losses = true}, {}}, 2000, 150);
}
TEST_P(EverySchedule, GivesTheSameHeadWhenTheCoordinatorDiesAtAnyEvent) {
  play({kScheduled.run(), GetParam(), {.losses = true, .crashes = true}, {}}, 3000, 150);
}
TEST_P(EverySchedule, GivesTheSameHeadWhenWritesFail) {
  play({kScheduled.run(), GetParam(), {.writes = true}, {}}, 4000, 150);
}
TEST_P(EverySchedule, GivesTheSameHeadWhenWorkersFailAndTalkNonsense) {
  play({kScheduled.run(), GetParam(), {.nonsense = true}, {}}, 5000, 150);
}
TEST_P(EverySchedule, GivesTheSameHeadWhenEverythingGoesWrongAtOnce) {
  play({kScheduled.run(), GetParam(), kAll, {}}, 6000, 300);
}

TEST_P(EverySchedule, GivesTheSameHeadWhenPowerCutsTearTheStore) {
  Faults faults = kAll;
  faults.torn = true;
  play({kScheduled.run(), GetParam(), faults, {}}, 23000, 15);
}

// As many switches as there is room for: on neighbouring units, more of them than the window holds.
TEST_P(EverySchedule, GivesTheSameHeadWithASwitchAtEveryUnit) {
  RunText run{.length = 32, .window = 3, .switches = {}};
  for (std::uint64_t unit = 0; unit < 8; ++unit) run.switches.push_back(4 * unit);
  Schedule schedule{run.run(), GetParam(), kAll, {}};
  schedule.checkpoints.clear();
  for (std::uint64_t unit = 0; unit < 8; ++unit) {
    schedule.checkpoints.push_back("checkpoint " + std::to_string(unit));
  }
  play(schedule, 7000, 75);
}

TEST_P(EverySchedule, GivesTheSameHeadWhenTheFirstValidProposalComesLate) {
  play({kScheduled.run(), GetParam(), kAll, {.first_valid = 37}}, 8000, 100);
}
TEST_P(EverySchedule, GivesTheSameHeadWithAWindowOfOneUnit) {
  RunText run = kScheduled;
  run.window = 1;
  play({run.run(), GetParam(), kAll, {}}, 9000, 100);
}

// Rule 9. Every unit is drawn twice, and one worker lies: two others are right.
TEST_P(EverySchedule, GivesTheSameHeadWhereOneWorkerLies) {
  RunText run = kScheduled;
  run.audit = 1;
  play({run.run(), GetParam() + 2, kAllAndLies, {}}, 11000, 50);
  play({run.run(), GetParam() + 2, kAllAndOneLie, {}}, 16000, 50);
}
// Whoever comes again under the same name is the same witness: what it says once more confirms nothing. Where the
// others are always there, no wrong unit enters the chain.
TEST_P(EverySchedule, TakesALiarThatComesAgainUnderItsNameForTheSame) {
  RunText run = kScheduled;
  run.audit = 1;
  run.lease = 86400;
  play({run.run(), GetParam() + 2, {.lies = true, .consistent = true, .comes_back = true}, {}}, 18000, 50);
  run.lease = kScheduled.lease;
  Faults all = kAllAndOneLie;
  all.comes_back = true;
  for (const double audit : {1.0, 0.3}) {
    run.audit = audit;
    play({run.run(), GetParam() + 2, all, {}}, audit < 1 ? 19000 : 22000, 25);
  }
}
// A third of them is: what it lied about is found and left behind.
TEST_P(EverySchedule, FindsAndLeavesBehindWhatOneWorkerLiedAbout) {
  RunText run = kScheduled;
  run.audit = 0.3;
  play({run.run(), GetParam() + 2, kAllAndLies, {}}, 12000, 50);
  play({run.run(), GetParam() + 2, kAllAndOneLie, {}}, 17000, 50);
}
TEST_P(EverySchedule, GivesTheSameHeadWithUnitsThatAreDrawnTwice) {
  RunText run = kScheduled;
  run.audit = 0.3;
  play({run.run(), GetParam(), kAll, {}}, 13000, 150);
}

// One worker of two, or of more, takes units and never answers.
TEST_P(EverySchedule, GivesTheSameHeadBesideAWorkerThatNeverAnswers) {
  for (const double audit : {1.0, 0.3}) {
    RunText run = kScheduled;
    run.audit = audit;
    play({run.run(), GetParam(), {.mute = true}, {}}, audit < 1 ? 14000 : 15000, 75);
  }
}

// By the clock the head depends on when versions arrive, but on nothing else: the chain is the plain loop's for the
// switches that are on disk.
TEST_P(EverySchedule, ByClockIsThePlainChainOfItsSwitches) { play({kAsap.run(), GetParam(), kAll, {}}, 10000, 300); }

INSTANTIATE_TEST_SUITE_P(Workers, EverySchedule, testing::Values(1, 2, 5), testing::PrintToStringParamName());

// Rule 3. The same events with other numbers: everything that was granted, to whom and when, and every switch must be
// the same. (Both start at proposal 0, so that both have a state to reweigh.)
void compare_values(const RunText& run, const Faults& faults, std::uint64_t first_seed) {
  const Schedule one{run.run(), 3, faults, {.salt = 1, .spoiled = false}};
  const Schedule other{run.run(), 3, faults, {.salt = 2, .spoiled = false}};
  std::set<std::vector<std::string>> distinct;
  for (std::uint64_t seed = first_seed; seed < first_seed + 100; ++seed) {
    World first(one, seed, false), second(other, seed, false);
    ASSERT_EQ(first.play(), "");
    ASSERT_EQ(second.play(), "");
    ASSERT_NE(first.log().head(), second.log().head());
    ASSERT_EQ(first.grants(), second.grants()) << "seed " << seed;
    ASSERT_EQ(first.log().switches.size(), second.log().switches.size());
    for (std::size_t i = 0; i < first.log().switches.size(); ++i) {
      ASSERT_EQ(first.log().switches[i].from, second.log().switches[i].from) << "seed " << seed;
      ASSERT_EQ(first.log().switches[i].version, second.log().switches[i].version) << "seed " << seed;
    }
    distinct.insert(first.grants());
  }
  EXPECT_GT(distinct.size(), 90u);  // and schedules do differ
}

TEST(ExactnessRule3, NoValueDecidesWhatIsGrantedUnderAScheduledPlacement) {
  compare_values(kScheduled, {.losses = true, .crashes = true, .writes = true, .mute = true}, 20000);
}
TEST(ExactnessRule3, NoValueDecidesWhereASwitchByTheClockFalls) {
  compare_values(kAsap, {.losses = true, .crashes = true, .writes = true, .mute = true}, 21000);
}

// Rule 4: by the clock, switches do fall at different places, or the test above would show nothing.
TEST(ExactnessRule4, SwitchesByTheClockFallWhereTheVersionsArrive) {
  const Schedule schedule{kAsap.run(), 2, {}, {}};
  std::set<std::uint64_t> places;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world(schedule, seed, false);
    ASSERT_EQ(world.play(), "");
    for (const SwitchRecord& row : world.log().switches) places.insert(row.from);
  }
  EXPECT_GT(places.size(), 5u);
}

}  // namespace
}  // namespace flowloom
