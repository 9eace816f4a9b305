// The coordinator without its sockets, its disk and its clock: workers, ledger, rollout, chain and statistics as one
// deterministic machine. Events go in, messages and writes come out.
//
// Keeps true:
//   - units are committed exactly once and in index order, each switch and reweigh at its place among them;
//   - a switch is durable before the first grant at or above it;
//   - a version serves only after a worker verified it;
//   - nothing is taken from a worker that was proved wrong, and what stands on its word alone is drawn again by others;
//   - after a failed write no unit of the chain is granted, nothing is lost, and everything goes on once a write
//     succeeds;
//   - nothing waits for good for a worker that keeps its stream and does not answer: while it does not, what another
//     that answers can draw is neither granted to it nor kept open for it;
//   - what is decided and not yet durable is bounded;
//   - `status` shows what is durable and nothing else.
//
// What becomes of an answer:
//
//   ledger_ ─▶ jury_ ─▶ answers_ ─▶ chain_ ─▶ pending_ ─▶ writing_ ─▶ uncounted_ ─▶ durable_
//   wanted?    certain? its turn?   decided   to write    under way   on disk       in the figures
//
// So there are three frontiers: what is decided (`chain_.frontier()`), what is durable (`durable_frontier()`, which the
// ledger keeps), and what the figures count (`durable_.frontier()`).
//
// The shell (or a test) calls events as they come, then `turn`, then takes what came out: messages for workers, and the
// write that is due. One write is under way at a time; its end is an event too. Pure: no clock, socket, file or thread
// inside, and nothing outside that it calls. One owner, no locks.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chain/chain.h"
#include "chain/end.h"
#include "chain/log_state.h"
#include "chain/store.h"
#include "coordinator/jury.h"
#include "coordinator/recheck.h"
#include "coordinator/reweighing.h"
#include "coordinator/rollout.h"
#include "coordinator/step_sharing.h"
#include "coordinator/unit_ledger.h"
#include "flowloom/v1/chain.pb.h"
#include "flowloom/v1/coordinator.pb.h"
#include "flowloom/v1/training.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

// What the core starts from: everything the store knows.
struct Recovered {
  std::string run_id;
  std::uint64_t epoch = 0;
  std::string pinned_build;
  std::vector<ModelRow> models;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> fulfilled;
  std::vector<SwitchRecord> switches;
  std::vector<WorkerRow> workers{};  // all that ever drew a unit
  Sha256 head{};
  std::optional<LogState> log{};  // up to record `logged`: from a snapshot
  std::int64_t logged = 0;
};

class Core {
 public:
  static constexpr std::uint64_t kSnapshotEvery = 1ull << 21;  // proposals: more than that no start has to read

  // `run` is the accepted run file. Replay the log's records after `recovered.logged` before anything else.
  Core(const RunSpec& run, Recovered recovered, std::uint64_t snapshot_every = kSnapshotEvery);

  // A record of the log, in order. Throws `kCorrupt` if it contradicts the ones before.
  void replay(const Record& record);

  // Workers. `joined` answers with Welcome or Refusal; messages of refused or unknown workers are ignored.
  WorkerId joined(const flowloom::v1::Hello& hello, Time now);
  void received(WorkerId worker, const flowloom::v1::WorkerMessage& message);
  void left(WorkerId worker);

  // A new version, or new entries of the schedule that an old one fulfils; durable already.
  void published(const ModelRow& model, const std::vector<std::uint32_t>& entries);
  void reported(const flowloom::v1::TrainingReport& report, Time now);

  // An operator's decision: from the first proposal that was never granted on, `version` serves. It is recorded with
  // its reason. Returns that proposal. Throws `kNotFound` or `kConflict`, with what to do (Rollout::activation).
  std::uint64_t activate(std::uint32_t version, const std::string& reason);

  // A training step whose gradient units are granted with the credits that sampling leaves over. The trainer's answers
  // are taken by `take_gradients`; `gradient_delivered`: one of them is on its way.
  void share(const flowloom::v1::GradientStep& step);
  void taken(const flowloom::v1::Taken& taken) { sharing_.taken(taken); }
  void stop_sharing() { sharing_.stop(); }
  std::vector<flowloom::v1::GradientAnswer> take_gradients() { return sharing_.take_answers(); }
  void gradient_delivered() { sharing_.delivered(); }
  std::uint32_t helpers() const;  // workers that could compute some

  // Draws a sample of the log's units again and compares; the status tells what comes of it.
  void recheck(const UnitSample& sample);
  // The same, and nothing else: nothing new is drawn, and it is finished when that is done. To be called first.
  void only_recheck(const UnitSample& sample);
  // Units of the log that are to be read for that, or because a worker was proved wrong; and they, in order.
  std::optional<RecheckQuery> take_query() { return recheck_.take_query(); }
  void read(std::uint64_t query, std::vector<UnitRecord> units);

  // What `take_write` gave is durable, and `head` the log's last link; or nothing of it was written, for this reason.
  void written(const Sha256& head);
  void write_failed(const std::string& sentence);

  // Takes of what was written last so many records into the figures, and says whether there are more. Whoever needs the
  // figures has them complete (`status` too), so this is only to have done it before.
  bool catch_up(std::size_t most = std::numeric_limits<std::size_t>::max());

  // Expires leases, decides what waits for nobody any more, tries failed writes again. To be called a few times a
  // second.
  void tick(Time now);

  // Nothing of the chain is granted or decided any more, for a reason that needs a decision; the first one is shown.
  // Gradients are granted as before: training does not look at the chain.
  void halt(const std::string& sentence);

  // Nothing is granted any more; `finished` once nothing is leased. Workers are told to come back, or with `for_good`
  // that the run ends.
  void drain(bool for_good = false);

  // Decides all that the events since the last turn allow. Its cost grows with the number of workers: several events
  // may share a turn.
  void turn(Time now);

  // True when no more work will be given out and what was decided is written: the chain is complete, or only a recheck
  // was wanted, and none is under way; or it is drained and no unit of the chain is leased (a recheck that is under way
  // is left, and so is what cannot be written).
  bool finished() const;
  // Whether nobody is to come back.
  bool over() const { return complete() || for_good_; }
  bool complete() const { return durable_frontier() >= end_.index() && log_is_written(); }

  struct Outgoing {
    WorkerId worker = kNobody;
    flowloom::v1::CoordinatorMessage message;
    bool last = false;  // close the stream after it
  };
  std::vector<Outgoing> take_outgoing() { return std::exchange(outgoing_, {}); }

  // What is to be made durable now; null if nothing is, or a write is under way.
  std::shared_ptr<const Write> take_write();

  flowloom::v1::StatusReply status(Time now);
  flowloom::v1::ListReply models() const;

  const Rollout& rollout() const { return rollout_; }
  std::uint64_t durable_frontier() const { return ledger_.frontier() * run_.unit; }

  // Counts changes of versions and switches, so that watchers see each.
  std::uint64_t models_revision() const { return models_revision_; }

 private:
  struct Worker {
    flowloom::v1::Hello hello;
    std::uint32_t credits = 0;
    std::vector<std::uint32_t> prepared, ready;
    std::uint64_t answered = 0, expired = 0, failures = 0;
    std::string trouble;                           // the last failure's sentence
    std::map<std::uint32_t, std::string> refused;  // versions that it cannot serve, and why
    std::map<std::uint32_t, flowloom::v1::Loading::Step> loading;
    Time since{};
    WorkerId witness = kNobody;      // whom it counts as where two are to agree: see witnesses_
    std::set<UnitNumber> owed;       // of the chain: its leases expired, and it has not answered; the highest of them
    std::optional<Time> owes_since;  // the first of these that expired after its last answer; nothing if none did
    bool silent = false;             // that was a lease ago: nobody waits for it

    bool can(const char* capability) const;
    bool can(const char* capability, std::uint32_t version) const;  // and has this version
  };
  struct Tally {
    std::uint64_t answered = 0, expired = 0;  // units
  };
  struct Answer {
    UnitData data;
    WorkerId worker, second;
  };

  bool runs_numerics(const flowloom::v1::Numerics& engine) const;
  flowloom::v1::CoordinatorMessage goodbye() const;
  std::optional<std::string> refusal(const flowloom::v1::Hello& hello, flowloom::v1::Refusal::Code& code) const;
  void send(WorkerId worker, flowloom::v1::CoordinatorMessage message, bool last = false);
  void refuse(WorkerId worker, flowloom::v1::Refusal::Code code, const std::string& sentence, bool last = false);
  void verified(std::uint32_t version);
  void sample_answered(WorkerId worker, const flowloom::v1::SampleAnswer& answer);
  void decide(UnitNumber unit, Jury::Finding finding);
  void logged_unit_answered(WorkerId worker, const flowloom::v1::SampleAnswer& answer);
  void take_rechecked();
  void settle();
  void owes(WorkerId worker, UnitNumber unit, Time now);
  void answered(WorkerId worker, UnitNumber unit);
  UnitData data_of(const flowloom::v1::SampleAnswer& answer) const;
  WorkerId contributed(WorkerId worker);
  void proved_wrong(const std::vector<Jury::Wrong>& workers, std::uint64_t first_index);
  bool quarantine(const std::string& name, const std::string& reason);
  void reweigh_answered(WorkerId worker, const flowloom::v1::ReweighAnswer& answer);
  void gradient_answered(WorkerId worker, const flowloom::v1::GradientAnswer& answer);
  void failed(WorkerId worker, const flowloom::v1::Failure& failure);
  std::string nobody_can_serve() const;
  std::string dispute() const;
  std::string silence() const;
  std::string rechecking() const;
  void add_versions(const Worker& worker, flowloom::v1::WorkerStatus& status) const;
  void set_state(flowloom::v1::StatusReply& reply) const;  // from `reply.training` too

  // The steps of one turn: place switches, move the chain, grant.
  void place_switches();
  void advance();
  bool cross_switch();
  bool test_until();
  void tell_log(EventRecord event);
  void dismiss();
  bool closing() const { return draining_ || dismissed_; }  // whoever comes now hears goodbye
  // Whether new units of the chain may be granted now, wherever it ends.
  bool extends() const { return stalled_.empty() && halted_.empty() && !closing() && !only_recheck_; }
  // Whether all is done and durable that this coordinator was started for.
  bool nothing_left() const { return (complete() || only_recheck_) && !recheck_.under_way() && all_is_written(); }
  bool all_is_written() const { return pending_.empty() && !writing_; }
  bool log_is_written() const { return pending_.records.empty() && !(writing_ && !writing_->records.empty()); }
  void prepare_workers();
  void grant_rechecks(Time now);
  void grant_units(Time now);
  void send_grant(WorkerId worker, UnitNumber unit, std::uint32_t version);
  bool can_sample(WorkerId worker, std::uint32_t version) const;
  bool may_draw(WorkerId worker, UnitNumber unit) const;
  bool may_recheck(WorkerId worker, UnitNumber place) const;
  template <class MayDraw>
  bool alone(WorkerId witness, MayDraw may_draw) const;
  std::size_t open(WorkerId worker) const;  // grants that count against its credits
  void grant_gradients(Time now);
  bool helps(WorkerId id, const Worker& worker) const;  // computes gradients, and has not failed at it
  template <class MayServe, class Granted>
  void grant_in_turn(UnitLedger& ledger, const std::function<UnitNumber()>& end, MayServe may_serve, Granted granted,
                     Time now);
  void grant_reweigh(Time now);

  RunSpec run_;
  const std::string run_id_;
  const std::uint64_t epoch_;
  Sha256 head_;                // durable
  std::string durable_build_;  // pinned
  LogState durable_;           // without the rest of `uncounted_`
  UnitLedger ledger_;
  Jury jury_;
  Recheck recheck_;
  Rollout rollout_;
  Chain chain_;
  std::size_t sums_;               // columns of a unit after log_p and log_q
  std::size_t recorded_switches_;  // as decided
  std::uint64_t models_revision_ = 1;

  std::map<WorkerId, Worker> workers_;
  WorkerId last_worker_ = kNobody;
  WorkerId last_granted_ = kNobody;            // the next one in turn gets the next unit
  std::map<WorkerId, std::string> names_;      // of all that drew a unit
  std::map<std::string, WorkerId> witnesses_;  // of one name there is one: who comes back is nobody new
  std::map<std::string, Tally> ended_;         // of these names: what their connections did that have ended
  std::map<std::string, flowloom::v1::Quarantine> quarantined_;
  std::map<UnitNumber, Answer> answers_;        // inside the window, waiting for their turn
  Write pending_;                               // decided, not yet under way to the disk
  std::shared_ptr<const Write> writing_;        // under way
  std::shared_ptr<const Write> uncounted_;      // durable, and not all in the figures yet
  std::size_t counted_ = 0;                     // its records that are
  bool retry_ = false;                          // a write that failed may be tried again
  std::uint64_t snapshot_every_, snapshot_at_;  // proposals; the frontier of the last one
  std::string build_;                           // pinned, durable or not
  std::optional<Reweighing> reweigh_;
  StepSharing sharing_;
  ChainEnd end_;                    // as decided
  std::uint64_t until_tested_ = 0;  // the last frontier at which it was
  std::string halted_, stalled_;    // sentences
  bool only_recheck_ = false;
  bool draining_ = false, for_good_ = false,
       dismissed_ = false;  // `dismissed_`: the workers were told to leave, for either reason
  flowloom::v1::TrainingReport training_;
  Time training_heard_{};
  std::vector<std::pair<Time, std::uint64_t>> progress_;  // (time, frontier) of the last seconds, for the rate
  std::vector<Outgoing> outgoing_;
};

}  // namespace flowloom
