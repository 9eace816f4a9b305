// The coordinator without its sockets: workers, ledger, rollout, chain and statistics as one deterministic machine.
//
// Keeps true:
//   - units are committed exactly once and in index order, each switch and reweigh at its place among them;
//   - a switch is durable before the first grant at or above it;
//   - a version serves only after a worker verified it;
//   - after a failed write no unit of the chain is granted, nothing is lost, and everything goes on once a write succeeds;
//   - `status` shows what is durable and nothing else.
//
// Messages go in by method calls and come out by `take_outgoing`. The only thing it calls is `Log`, which the shell (or
// a test) provides. No clock, socket or thread inside; one owner, no locks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chain/chain.h"
#include "chain/statistics.h"
#include "chain/store.h"
#include "chain/until.h"
#include "coordinator/rollout.h"
#include "coordinator/step_sharing.h"
#include "coordinator/unit_ledger.h"
#include "flowloom/v1/chain.pb.h"
#include "flowloom/v1/coordinator.pb.h"
#include "flowloom/v1/training.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

// What the core writes. Every call is durable when it returns, or throws `kUnavailable` and has done nothing.
class Log {
 public:
  virtual ~Log() = default;
  virtual void append(const std::vector<Record>& records) = 0;
  virtual void add_switch(const SwitchRecord& row) = 0;
  virtual void mark_verified(std::uint32_t version) = 0;
  virtual void pin_build(const std::string& build) = 0;
  virtual Sha256 head() const = 0;
};

// What the core starts from: everything the store knows.
struct Recovered {
  std::string run_id;
  std::uint64_t epoch = 0;
  std::string pinned_build;
  std::vector<ModelRow> models;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> fulfilled;
  std::vector<SwitchRecord> switches;
};

class Core {
 public:
  // `run` is the accepted run file. Replay the log's records with `replay` before anything else.
  Core(const RunSpec& run, Recovered recovered, Log& log);

  // A record of the log, in order. Throws `kCorrupt` if it contradicts the ones before.
  void replay(const Record& record);

  // Workers. `joined` answers with Welcome or Refusal; messages of refused or unknown workers are ignored.
  WorkerId joined(const flowloom::v1::Hello& hello, Time now);
  void received(WorkerId worker, const flowloom::v1::WorkerMessage& message, Time now);
  void left(WorkerId worker, Time now);

  // A new version, or new entries of the schedule that an old one fulfils; durable already.
  void published(const ModelRow& model, const std::vector<std::uint32_t>& entries, Time now);
  void reported(const flowloom::v1::TrainingReport& report, Time now);

  // A training step whose gradient units are granted with the credits that sampling leaves over. The trainer's answers are taken
  // by `take_gradients`; `gradient_delivered`: one of them is on its way.
  void share(const flowloom::v1::GradientStep& step, Time now);
  void taken(const flowloom::v1::Taken& taken) { sharing_.taken(taken); }
  void stop_sharing() { sharing_.stop(); }
  std::vector<flowloom::v1::GradientAnswer> take_gradients() { return sharing_.take_answers(); }
  void gradient_delivered(Time now);
  std::uint32_t helpers() const;  // workers that could compute some

  // Expires leases, tries failed writes again. To be called a few times a second.
  void tick(Time now);

  // Nothing is granted any more; `finished` once nothing is leased.
  void drain(Time now);

  // True when no more work will be given out: the chain is complete, or drained.
  bool finished() const;
  bool complete() const { return chain_.frontier() >= end_.index() && pending_.empty(); }

  struct Outgoing {
    WorkerId worker = 0;
    flowloom::v1::CoordinatorMessage message;
    bool last = false;  // close the stream after it
  };
  std::vector<Outgoing> take_outgoing() { return std::exchange(outgoing_, {}); }

  flowloom::v1::StatusReply status(Time now) const;
  flowloom::v1::ListReply models() const;

  const Rollout& rollout() const { return rollout_; }
  std::uint64_t durable_frontier() const { return durable_frontier_; }

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
    Time since{};

    bool can(const char* capability) const;
    bool can(const char* capability, std::uint32_t version) const;  // and has this version
  };
  struct Reweigh {  // of the current state, for the switch at the frontier
    std::uint32_t version = 0;
    std::optional<double> log_q;
    WorkerId worker = 0;  // 0: not leased
    WorkerId last = 0;    // had it last; the next one in turn gets it next
    Time expires{};
    int failures = 0;
  };

  bool runs_numerics(const flowloom::v1::Numerics& engine) const;
  flowloom::v1::CoordinatorMessage goodbye() const;
  std::optional<std::string> refusal(const flowloom::v1::Hello& hello, flowloom::v1::Refusal::Code& code) const;
  void send(WorkerId worker, flowloom::v1::CoordinatorMessage message, bool last = false);
  void refuse(WorkerId worker, flowloom::v1::Refusal::Code code, const std::string& sentence, bool last = false);
  bool forget(WorkerId worker);  // false if it is not there
  void sample_answered(WorkerId worker, const flowloom::v1::SampleAnswer& answer);
  void reweigh_answered(WorkerId worker, const flowloom::v1::ReweighAnswer& answer);
  void gradient_answered(WorkerId worker, const flowloom::v1::GradientAnswer& answer);
  void failed(WorkerId worker, const flowloom::v1::Failure& failure);
  void halt(const std::string& sentence);
  std::string nobody_can_serve() const;
  void set_state(flowloom::v1::StatusReply& reply) const;  // from `reply.training` too

  // The steps of one turn, after every event: place switches, move the chain, write, grant.
  void turn(Time now);
  void place_switches();
  void advance();
  bool flush();
  bool cross_switch();
  bool test_until();
  void prepare_workers();
  void grant_units(Time now);
  void grant_gradients(Time now);
  bool helps(WorkerId id, const Worker& worker) const;  // computes gradients, and has not failed at it
  template <class MayServe, class Granted>
  void grant_in_turn(UnitLedger& ledger, const std::function<UnitNumber()>& end, MayServe may_serve, Granted granted,
                     Time now);
  void grant_reweigh(Time now);
  void count(const Record& record);  // a record that is durable now

  RunSpec run_;
  Recovered recovered_;
  Log& log_;
  UnitLedger ledger_;
  Rollout rollout_;
  Chain chain_;
  ChainStatistics statistics_;  // of durable records
  std::size_t sums_;            // columns of a unit after log_p and log_q
  std::size_t recorded_switches_ = 0;
  std::uint64_t durable_frontier_ = 0;
  std::uint64_t models_revision_ = 1;

  std::map<WorkerId, Worker> workers_;
  WorkerId last_worker_ = 0;
  std::map<UnitNumber, UnitData> answers_;  // inside the window, waiting for their turn
  std::vector<Record> pending_;             // decided, not yet durable
  std::optional<Reweigh> reweigh_;
  StepSharing sharing_;
  ChainEnd end_, durable_end_;      // as decided, and as the log on disk says
  std::uint64_t until_tested_ = 0;  // the last frontier at which it was
  std::string halted_, stalled_;    // sentences
  bool draining_ = false;
  flowloom::v1::TrainingReport training_;
  Time training_heard_{};
  std::vector<std::pair<Time, std::uint64_t>> progress_;  // (time, frontier) of the last seconds, for the rate
  std::vector<Outgoing> outgoing_;
};

}  // namespace flowloom
