#include "coordinator/brain.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "program/retry.h"
#include "program/rpc.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr std::chrono::milliseconds kTick{100};
constexpr Time kHeadEvery{2000};             // between two tellings of the head to workers
constexpr std::size_t kOtherRuns = 8;        // that are remembered
constexpr std::size_t kShownId = 32;         // characters
constexpr std::size_t kCountedAtOnce = 8;    // records that go into the statistics before the next message is heard
constexpr std::int64_t kCheckedAtOnce = 64;  // records, of what a start did not read

// Whoever lost a coordinator has found the next one after this.
constexpr Time kReturn = Retry::kCap + limits::kComeBack;

// Whether a later state that a peer remembers, which `text` names, was accepted once.
bool was_accepted(const Store& store, const std::string& text) {
  bool accepted = false;
  const grpc::Status read = guarded([&] {
    const auto events = store.events();
    accepted = std::ranges::any_of(events, [&](const Store::Event& event) {
      return event.kind == "rollback" && event.text.find(text) != std::string::npos;
    });
  });
  if (!read.ok()) spdlog::error("{}", read.error_message());
  return accepted;
}

}  // namespace

Brain::Brain(OpenedRun opened, RunDirectory directory, bool stay, Rollback rollback,
             const std::optional<UnitSample>& only_recheck)
    : run_(opened.run),
      directory_(std::move(directory)),
      run_id_(opened.recovered.run_id),
      core_(opened.run, opened.recovered),
      farewell_(stay),
      rollback_(rollback),
      seal_(run_id_, directory_.token()),
      token_is_new_(opened.token_is_new),
      first_replayed_(opened.recovered.logged + 1),
      records_(opened.store.size()),
      head_(opened.store.head()),
      store_([&] {
        opened.store.for_each(opened.recovered.logged + 1, [&](const LinkedRecord& linked) {
          core_.replay(linked.record);
          return true;
        });
        return std::move(opened.store);
      }()) {
  durable_frontier_ = core_.durable_frontier();
  if (opened.recovered.epoch > 1 && !core_.complete()) farewell_.not_before(now() + kReturn);
  if (only_recheck) core_.only_recheck(*only_recheck);
  thread_ = std::thread([this] {
    post([this] { tick(); });
    post([this] { check_older(1); });
    io_.run();
  });
  ::pthread_setname_np(thread_.native_handle(), "brain");
}

Brain::~Brain() {
  guard_.reset();
  io_.stop();
  thread_.join();
}

Time Brain::now() const {
  return std::chrono::duration_cast<Time>(std::chrono::steady_clock::now().time_since_epoch());
}

void Brain::drain(bool for_good) {
  post([this, for_good] {
    draining_ = true;
    core_.drain(for_good);
    if (const auto sharer = sharer_; sharer && !core_.complete()) sharer->end(to_status(going_down()));
    schedule_turn();
  });
}

WorkerId Brain::worker_joined(std::shared_ptr<WorkerStream> stream, const flowloom::v1::Hello& hello) {
  const WorkerId id = core_.joined(hello, now());
  workers_[id] = std::move(stream);
  spdlog::info("worker {} '{}' said hello", id, hello.name());
  heard(hello.name(), hello.seen(), hello.identity() == bytes_of(run_.identity()));
  head_is_news_ = true;
  schedule_turn();
  return id;
}

void Brain::worker_left(WorkerId id) {
  if (workers_.erase(id) == 0) return;
  spdlog::info("worker {} left", id);
  core_.left(id);
  schedule_turn();
}

void Brain::worker_said(WorkerId id, const flowloom::v1::WorkerMessage& message) {
  if (message.has_not_ready()) spdlog::warn("worker {} cannot serve a version: {}", id, message.not_ready().sentence());
  if (message.has_failure()) spdlog::warn("worker {} failed: {}", id, message.failure().sentence());
  core_.received(id, message);
  schedule_turn();
}

flowloom::v1::ReportReply Brain::trainer_reported(flowloom::v1::TrainingReport report) {
  core_.reported(report, now());
  flowloom::v1::ReportReply reply;
  reply.set_complete(core_.over());
  if (auto seen = head_to_tell()) *reply.mutable_seen() = std::move(*seen);
  if (draining_ && !reply.complete())
    reply.set_reconnect_after_seconds(std::chrono::duration<double>(limits::kComeBack).count());
  farewell_.trainer_reported(report.state() == flowloom::v1::TrainingReport::STATE_TRAINING && !reply.complete(),
                             now());
  schedule_turn();
  return reply;
}

void Brain::trainer_shares(std::shared_ptr<ShareStream> stream) {
  const auto before = std::exchange(sharer_, std::move(stream));
  core_.stop_sharing();
  if (before) {
    before->end(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "another training server shares its steps now"));
  }
  told_helpers_.reset();
  if (const auto sharer = sharer_; draining_ && !core_.complete()) sharer->end(to_status(going_down()));
  schedule_turn();
}

void Brain::trainer_said(const std::shared_ptr<ShareStream>& stream, const flowloom::v1::ShareRequest& request) {
  if (stream != sharer_) return;
  if (request.has_step()) core_.share(request.step());
  if (request.has_taken()) core_.taken(request.taken());
  schedule_turn();
}

void Brain::gradient_sent(const std::shared_ptr<ShareStream>& stream) {
  if (stream != sharer_) return;
  core_.gradient_delivered();
  schedule_turn();
}

void Brain::trainer_stopped_sharing(const std::shared_ptr<ShareStream>& stream) {
  if (stream != sharer_) return;
  sharer_.reset();
  core_.stop_sharing();
}

std::optional<std::string> Brain::look_up(const Store& store, const std::string& peer,
                                          const flowloom::v1::Seen& seen) const {
  if (seen.head().empty()) return {};
  if (!seal_.holds(seen) && !(token_is_new_ && seen.run_id() == run_id_)) {
    spdlog::info("'{}' remembers a log that no coordinator of this directory told it of; that is ignored", peer);
    return {};
  }
  std::optional<std::string> found;
  const grpc::Status read = guarded(
      [&] { found = contradiction(peer, seen, store.size(), store.link(static_cast<std::int64_t>(seen.records()))); });
  if (!read.ok()) spdlog::error("{}", read.error_message());
  return found;
}

void Brain::looked_up(const std::optional<std::string>& found, bool of_other_run) {
  // Of the halts one is enough; of lost runs that are accepted each is noted, because the next start asks (heard).
  const bool is_noted = of_other_run && rollback_ != Rollback::kHalt;
  if (!found || (std::exchange(contradicted_, true) && !is_noted)) return;
  schedule_turn();
  if (rollback_ == Rollback::kHalt) {
    spdlog::error("{}", *found);
    core_.halt(*found +
               " Restore the newer store; or start the coordinator with --accept-rollback, to go on from this one.");
    return;
  }
  spdlog::warn("accepted: {}", *found);
  on_store([text = *found](Store& store) { return guarded([&] { store.add_event("rollback", text); }); },
           [](std::future<grpc::Status> written) {
             const grpc::Status status = written.get();
             if (!status.ok()) spdlog::error("{}", status.error_message());
           });
}

void Brain::heard(const std::string& peer, const flowloom::v1::Seen& seen, bool of_run_file) {
  if (seen.head().empty()) return;
  const bool of_other_run = seen.run_id() != run_id_;
  const auto ask = [&](auto question) {
    ++lookups_;
    on_store(std::move(question), [this, of_other_run](std::future<std::optional<std::string>> found) {
      --lookups_;
      looked_up(found.get(), of_other_run);
    });
  };
  if (!of_other_run) return ask([this, peer, seen](Store& store) { return look_up(store, peer, seen); });
  const std::string which = " of run " + seen.run_id().substr(0, kShownId) + ", ";
  const std::string note = "'" + peer + "' was told of record " + std::to_string(seen.records()) + which +
                           "and this is run " + run_id_.substr(0, kShownId) +
                           ": if that one's directory was lost, this chain is a new one in its place.";
  spdlog::warn("{}", note);
  if (of_other_runs_.size() < kOtherRuns) of_other_runs_.emplace(peer, note);
  if (!of_run_file || std::cmp_greater_equal(records_, seen.records())) return;
  ask([which, note](Store& store) { return was_accepted(store, which) ? std::nullopt : std::optional(note); });
}

std::optional<flowloom::v1::Seen> Brain::head_to_tell() {
  if (lookups_ > 0 || (contradicted_ && rollback_ == Rollback::kHalt)) return {};
  if (sealed_.head().empty()) sealed_ = seal_.seal(records_, head_);
  return sealed_;
}

flowloom::v1::StatusReply Brain::status() {
  flowloom::v1::StatusReply reply = core_.status(now());
  for (const auto& [peer, note] : of_other_runs_) reply.add_notes(note);
  return reply;
}

void Brain::tell_head() {
  if (!head_is_news_ || now() - head_told_ < kHeadEvery) return;
  const auto seen = head_to_tell();
  if (!seen) return;
  head_is_news_ = false;
  head_told_ = now();
  flowloom::v1::CoordinatorMessage message;
  *message.mutable_seen() = *seen;
  const auto workers = workers_;  // a stream that ends leaves the map
  for (const auto& [id, stream] : workers) stream->send(message, false);
}

void Brain::tell_trainer() {
  std::vector<flowloom::v1::GradientAnswer> gradients = core_.take_gradients();
  const std::uint32_t helpers = core_.helpers();
  const auto stream = sharer_;
  if (!stream) return;
  const auto send = [&](flowloom::v1::ShareReply reply) {
    reply.set_workers(helpers);
    stream->send(std::move(reply));
  };
  for (flowloom::v1::GradientAnswer& gradient : gradients) {
    flowloom::v1::ShareReply reply;
    *reply.mutable_gradient() = std::move(gradient);
    send(std::move(reply));
  }
  if (gradients.empty() && told_helpers_ != helpers) send({});
  told_helpers_ = helpers;
}

void Brain::schedule_turn() {
  if (std::exchange(turn_scheduled_, true)) return;
  post([this] {
    turn_scheduled_ = false;  // what is sent may end a stream, after which comes another
    take_turn();
  });
}

void Brain::take_turn() {
  core_.turn(now());
  hand_out();
  write();
  read();
  count();
}

// While the disk works, and without keeping messages waiting.
void Brain::count() {
  if (std::exchange(counting_, true)) return;
  post([this] {
    counting_ = false;
    if (core_.catch_up(kCountedAtOnce)) count();
  });
}

// Units of the log that are drawn again.
void Brain::read() {
  const auto query = core_.take_query();
  if (!query) return;
  on_store(
      [query, key = run_.noise_key(), unit = run_.unit](Store& store) {
        const auto quarantined = quarantined_numbers(store.workers());
        auto units = store.choose_units(query->first_index, query->limit, [&](const UnitPlace& place) {
          return query->wants(key, unit, place, quarantined);
        });
        const std::uint64_t all = store.frontier() / unit;
        if (query->sample && query->first_index == 0 && units.empty() && all > 0)
          units = store.units(unit_instead(*query->sample, key, all) * unit, 1);
        return units;
      },
      [this, query](std::future<std::vector<UnitRecord>> units) {
        try {
          core_.read(query->number, units.get());
        } catch (const Error& error) {
          spdlog::error("{}", error.what());
          core_.halt(error.what());
        }
        schedule_turn();
      });
}

// What this start did not read, because a snapshot stands for it: its links, some at a time between what is written.
void Brain::check_older(std::int64_t sequence) {
  if (sequence >= first_replayed_) return;
  const std::int64_t last = std::min(sequence + kCheckedAtOnce, first_replayed_) - 1;
  on_store([sequence, last](Store& store) { store.check_links(sequence, last); },
           [this, last](std::future<void> checked) {
             try {
               checked.get();
               check_older(last + 1);
             } catch (const Error& error) {
               spdlog::error("{}", error.what());
               core_.halt(error.what());
               schedule_turn();
             }
           });
}

void Brain::write() {
  const auto write = core_.take_write();
  if (!write) return;
  on_store(
      [write](Store& store) {
        store.write(*write);
        return std::pair(store.size(), store.head());
      },
      [this, write](std::future<std::pair<std::int64_t, Sha256>> written) {
        try {
          std::tie(records_, head_) = written.get();
          core_.written(head_);
          if (!write->records.empty()) {
            sealed_.Clear();
            head_is_news_ = true;
          }
          durable_frontier_ = core_.durable_frontier();
          for (const SwitchRecord& row : write->switches) {
            spdlog::info("switch placed: version {} serves from proposal {}", row.version, row.from);
          }
        } catch (const Error& error) {
          spdlog::error("{}", error.what());
          core_.write_failed(error.what());
        }
        schedule_turn();
      });
}

void Brain::hand_out() {
  tell_trainer();
  for (Core::Outgoing& out : core_.take_outgoing()) {
    if (const auto found = workers_.find(out.worker); found != workers_.end()) {
      if (out.message.has_refusal())
        spdlog::warn("worker {} refused: {}", out.worker, out.message.refusal().sentence());
      const auto stream = found->second;
      stream->send(std::move(out.message), out.last);
    }
  }
  tell_head();
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (const auto subscriber = subscribers_[i].lock()) subscriber->poke();
  }
}

void Brain::tick() {
  core_.tick(now());
  for (const auto& stream : unnamed_) {
    if (const auto alive = stream.lock()) alive->tick(now());
  }
  std::erase_if(unnamed_, [](const auto& stream) { return stream.expired(); });
  schedule_turn();
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
  const Farewell::Situation situation{.finished = core_.finished(),
                                      .over = core_.over(),
                                      .draining = draining_,
                                      .connected = !workers_.empty() || !subscribers_.empty()};
  if (!finished_ && farewell_.may_leave(situation, now())) {
    finished_ = true;
    finished_promise_.set_value();
  }
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

}  // namespace flowloom
