// The coordinator's one thread of decisions: it owns the core, and everything that touches that runs on it. What takes
// the disk's time runs on the store's thread (store_thread.h).
//
// gRPC's threads only post to these two (`post`, `on_store`). Streams (workers, subscribers, the trainer's) are known
// here by their small interfaces; they live as long as gRPC needs them and are touched from this thread alone.
#pragma once

#include <grpcpp/support/status.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "chain/store.h"
#include "coordinator/core.h"
#include "coordinator/farewell.h"
#include "coordinator/head_seal.h"
#include "coordinator/opening.h"
#include "coordinator/store_thread.h"
#include "program/run_directory.h"

namespace flowloom {

// A worker's stream, as the brain sees it.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  virtual void send(flowloom::v1::CoordinatorMessage message, bool last) = 0;
  virtual void tick(Time now) = 0;
};

// A stream of replies that somebody follows. `poke`: something may be new.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  virtual void poke() = 0;
};

// The trainer's stream, as the brain sees it.
class ShareStream {
 public:
  virtual ~ShareStream() = default;
  virtual void send(flowloom::v1::ShareReply reply) = 0;
  virtual void end(const grpc::Status& status) = 0;  // at once: what waits to be sent is dropped
};

// What a peer's word that the store is not the newest does: halts the chain, or is written down as an event.
enum class Rollback { kHalt, kAccept };

// What ends the streams of a coordinator that goes down before its chain is complete.
inline Error going_down() { return Error(ErrorCode::kUnavailable, "the coordinator is going down", limits::kComeBack); }

class Brain {
 public:
  // With `stay`, a complete chain goes on to answer clients until `drain`. `only_recheck`: draws nothing but this
  // sample of the chain's units, again.
  Brain(OpenedRun opened, RunDirectory directory, bool stay = false, Rollback rollback = Rollback::kHalt,
        const std::optional<UnitSample>& only_recheck = {});
  ~Brain();

  // Runs `work` on the brain's thread, later. Any thread.
  template <class Work>
  void post(Work work) {
    boost::asio::post(io_, std::move(work));
  }

  // Waits until no more work will be given out and everybody was told, or `drain` was called and is done. Any thread.
  void wait_until_finished() { finished_future_.wait(); }

  // Stops granting; finishes what is leased. Peers are told to come back, or with `for_good` that the run ends. Any
  // thread.
  void drain(bool for_good = false);

  // Proposals that are durable. Any thread.
  std::uint64_t durable_frontier() const { return durable_frontier_; }

  // Fixed from the beginning. Any thread.
  const std::string& run_id() const { return run_id_; }
  const RunDirectory& directory() const { return directory_; }
  const RunSpec& run() const { return run_; }
  Time now() const;

  // Runs `work(store)` on the store's thread, then `then(future of its result)` on the brain's. The future holds what
  // `work` threw: `then` must catch what `get()` throws, for nothing above it does. Any thread.
  template <class Work, class Then>
  void on_store(Work work, Then then) {
    store_.post([this, work = std::move(work), then = std::move(then)](Store& store) mutable {
      std::future<std::invoke_result_t<Work, Store&>> result;
      {
        std::packaged_task<std::invoke_result_t<Work, Store&>()> task([&] { return work(store); });
        result = task.get_future();
        task();
      }
      post([then = std::move(then), result = std::move(result)]() mutable { then(std::move(result)); });
    });
  }

  // How the store contradicts what `peer` was told of the log, in this life of the coordinator or an earlier one;
  // nothing if it does not, or cannot be read. On the store's thread.
  std::optional<std::string> look_up(const Store& store, const std::string& peer, const flowloom::v1::Seen& seen) const;

  // From here on: on the brain's thread only.
  Core& core() { return core_; }

  WorkerId worker_joined(std::shared_ptr<WorkerStream> stream, const flowloom::v1::Hello& hello);
  void worker_left(WorkerId id);
  void worker_said(WorkerId id, const flowloom::v1::WorkerMessage& message);
  // Its points are kept already.
  flowloom::v1::ReportReply trainer_reported(flowloom::v1::TrainingReport report);
  // What `look_up` found: if something, the chain halts, unless that was accepted. `heard` does both, later.
  void looked_up(const std::optional<std::string>& found, bool of_other_run = false);
  // `of_run_file`: the peer's run was of this run file.
  void heard(const std::string& peer, const flowloom::v1::Seen& seen, bool of_run_file = false);

  // The core's, and what was heard of other runs: where a run directory was lost, another chain may have taken its
  // place. Nobody can prove that (the lost directory's token is gone too). It halts a chain of the same run file whose
  // log is shorter, unless that was accepted once, now or by an earlier process; else it is said.
  flowloom::v1::StatusReply status();

  // What peers are to be told: it is durable. Nothing while a peer's word is looked up, or after it halted the chain:
  // then peers keep what they know, and a coordinator that starts later hears it too.
  std::optional<flowloom::v1::Seen> head_to_tell();

  // The stream through which a trainer shares its steps; the one before it ends.
  void trainer_shares(std::shared_ptr<ShareStream> stream);
  void trainer_said(const std::shared_ptr<ShareStream>& stream, const flowloom::v1::ShareRequest& request);
  void gradient_sent(const std::shared_ptr<ShareStream>& stream);
  void trainer_stopped_sharing(const std::shared_ptr<ShareStream>& stream);
  void watch_hello(const std::shared_ptr<WorkerStream>& stream) { unnamed_.push_back(stream); }
  void subscribe(const std::shared_ptr<Subscriber>& subscriber) { subscribers_.push_back(subscriber); }
  // Somebody begins to read the chain: a complete chain's coordinator waits for whoever holds this, as Farewell says.
  Farewell::Reader reader() { return farewell_.reader(now()); }

  // To be called after every event: what follows from it is decided, handed out and written soon, together with what
  // follows from the others that wait.
  void schedule_turn();

 private:
  void take_turn();
  void count();
  void hand_out();
  void write();
  void read();
  void tell_trainer();
  void tell_head();
  void check_older(std::int64_t sequence);
  void tick();

  const RunSpec run_;
  const RunDirectory directory_;
  const std::string run_id_;
  Core core_;
  Farewell farewell_;
  bool draining_ = false, finished_ = false;
  const Rollback rollback_;
  const HeadSeal seal_;
  const bool token_is_new_;            // peers were told of the log with another one: nobody can prove what
  const std::int64_t first_replayed_;  // the record at which this start began to read
  std::int64_t records_;               // durable; with the head of the core's
  Sha256 head_;
  flowloom::v1::Seen sealed_;  // of them, once somebody wanted it
  int lookups_ = 0;            // of peers' words, under way
  bool contradicted_ = false;
  std::map<std::string, std::string> of_other_runs_;  // peers, and what they remember
  Time head_told_ = now();                            // when workers were
  bool head_is_news_ = false;                         // to some worker
  std::map<WorkerId, std::shared_ptr<WorkerStream>> workers_;
  std::shared_ptr<ShareStream> sharer_;
  std::optional<std::uint32_t> told_helpers_;  // nothing: a new trainer
  bool turn_scheduled_ = false;
  bool counting_ = false;
  std::atomic<std::uint64_t> durable_frontier_;
  std::vector<std::weak_ptr<WorkerStream>> unnamed_;  // have not said Hello yet
  std::vector<std::weak_ptr<Subscriber>> subscribers_;
  std::promise<void> finished_promise_;
  std::future<void> finished_future_ = finished_promise_.get_future();
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{io_.get_executor()};
  boost::asio::steady_timer timer_{io_};
  StoreThread store_;
  std::thread thread_;
};

}  // namespace flowloom
