#include "worker/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "flow/catalog.h"
#include "program/retry.h"

namespace flowloom {
namespace {

using flowloom::v1::CoordinatorMessage;
using flowloom::v1::Loading;
using flowloom::v1::Refusal;
using flowloom::v1::WorkerMessage;

constexpr std::size_t kQueueSlack = 16;  // Prepare, reweigh and the like come on top of the credits
constexpr int kDamagedTransfers = 3;

std::optional<Sha256> digest_of(const std::string& bytes) {
  Sha256 digest;
  if (bytes.size() != digest.size()) return {};
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

bool may_pass(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return false;
    default:
      return true;
  }
}

}  // namespace

Session::Session(const Peer& peer, Engines& engines, ModelShelf& shelf, LastSeen& last_seen, SessionOptions options,
                 std::function<void()> joined)
    : peer_(peer),
      engines_(engines),
      shelf_(shelf),
      last_seen_(last_seen),
      options_(std::move(options)),
      joined_(std::move(joined)),
      stub_(flowloom::v1::Coordinator::NewStub(peer.channel)),
      inbox_(options_.credits + kQueueSlack) {}

SessionEnd Session::run(std::stop_token stop) {
  prepare(context_, peer_.token, std::chrono::milliseconds(0));  // lives on; keep-alive notices a dead peer
  {
    // Until there is a connection both calls wait for one.
    const std::stop_callback cancel(stop, [this] { context_.TryCancel(); });
    stream_ = stub_->Work(&context_);
    WorkerMessage first;
    *first.mutable_hello() = hello();
    send(first);
  }
  std::jthread reader([this] { read(); });
  std::jthread watcher([this, stop] { watch(stop); });
  const auto end_threads = [&] {
    const grpc::Status status = leave();
    reader.join();
    watcher.join();
    return status;
  };
  std::optional<SessionEnd> end;
  try {
    while (!end) {
      const auto message = inbox_.pop();
      if (!message) break;
      end = handle(*message);
    }
  } catch (...) {
    end_threads();
    throw;
  }
  const grpc::Status status = end_threads();
  if (end) return *end;
  if (stop.stop_requested()) return {SessionEnd::Kind::kStopped, "", {}};
  if (silent_) return {SessionEnd::Kind::kLost, "no Welcome came", {}};
  if (!status.ok()) {
    const Error error = to_error(status, peer_);
    const bool refused_by_tls =
        status.error_code() == grpc::StatusCode::UNAVAILABLE && error.code() != ErrorCode::kUnavailable;
    if (refused_by_tls || !may_pass(status.error_code())) throw error;
    return {SessionEnd::Kind::kLost, error.what(), error.retry_after()};
  }
  return {SessionEnd::Kind::kLost, "the coordinator closed the stream", {}};
}

flowloom::v1::Hello Session::hello() const {
  flowloom::v1::Hello hello;
  *hello.mutable_seen() = last_seen_.get();
  hello.mutable_run()->set_run_id(hello.seen().run_id());
  hello.set_name(options_.name);
  hello.set_protocol(kProtocol);
  hello.add_capabilities("sample");
  hello.add_capabilities("reweigh");
  hello.add_capabilities(gradient_capability());
  if (const auto identity = options_.identity ? options_.identity : shelf_.served()) {
    hello.set_identity(std::string(bytes_of(*identity)));
  }
  for (const auto& engine : engines_.available()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      auto* numerics = hello.add_engines();
      numerics->set_engine(engine->name());
      numerics->set_precision(to_string(precision));
      numerics->set_revision(kNumericsRevision);
      numerics->set_build(engine->build());
    }
  }
  hello.set_credits(options_.credits);
  hello.set_device(engines_.available().front()->device());
  return hello;
}

// ---------------------------------------------------------------------- the three threads

void Session::read() {
  for (Message message; stream_->Read(&message);) {
    {
      const std::lock_guard lock(mutex_);
      first_message_ = true;
    }
    changed_.notify_all();
    if (message.has_seen()) {
      spdlog::debug("the log has {} records", message.seen().records());
      last_seen_.told(std::move(*message.mutable_seen()));
      continue;
    }
    if (message.has_weights()) {
      newest_offer_ = message.weights().offer();
      if (message.weights().weights().empty()) continue;
    }
    inbox_.push(std::move(message));
  }
  {
    const std::lock_guard lock(mutex_);
    stream_ended_ = true;
  }
  changed_.notify_all();
  over_.request_stop();
  inbox_.close();
}

void Session::watch(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool answered =
      changed_.wait_for(lock, stop, options_.welcome_deadline, [&] { return first_message_ || stream_ended_; });
  if (!answered) {
    silent_ = !stop.stop_requested();
    context_.TryCancel();
    return;
  }
  changed_.wait(lock, stop, [&] { return stream_ended_; });
  if (stream_ended_) return;
  lock.unlock();
  // Before the executor learns of it: it may be through with its unit, and close the writing side, at any moment.
  WorkerMessage message;
  message.mutable_credit()->set_credits(0);
  send(message);
  over_.request_stop();
  inbox_.abandon();
}

bool Session::send(const WorkerMessage& message) {
  const std::lock_guard lock(write_mutex_);
  return stream_->Write(message);
}

// Ends the stream from this side; a coordinator that does not end its own in time is cut off.
grpc::Status Session::leave() {
  inbox_.abandon();
  {
    const std::lock_guard lock(write_mutex_);
    stream_->WritesDone();
  }
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, options_.leave_deadline, [&] { return stream_ended_; })) context_.TryCancel();
    changed_.wait(lock, [&] { return stream_ended_; });
  }
  return stream_->Finish();
}

// ---------------------------------------------------------------------- the messages

std::optional<SessionEnd> Session::handle(const Message& message) {
  const bool first = !run_.has_value();
  if (first && !message.has_welcome() && !message.has_refusal()) {
    throw Error(ErrorCode::kConflict,
                "The coordinator at " + peer_.address +
                    " did not begin with Welcome; use the same version of Flowloom on both sides.");
  }
  switch (message.message_case()) {
    case Message::kWelcome:
      if (first) welcome(message.welcome());
      return {};
    case Message::kRefusal:
      return refused(message.refusal());
    case Message::kPrepare:
      wants_progress_ = message.prepare().progress();
      prepare_version(message.prepare().version());
      return {};
    case Message::kSample:
      sample(message.sample());
      return {};
    case Message::kReweigh:
      reweigh(message.reweigh());
      return {};
    case Message::kWeights:
      executor_->use(message.weights());
      return {};
    case Message::kGradient:
      gradient(message.gradient());
      return {};
    case Message::kGoodbye: {
      return SessionEnd{SessionEnd::Kind::kGoodbye, message.goodbye().sentence(),
                        wait_of(message.goodbye().reconnect_after_seconds())};
    }
    case Message::kSeen:  // `read` took it
    case Message::MESSAGE_NOT_SET:
      return {};  // of a newer coordinator; what it may send goes by capability
  }
  return {};
}

void Session::welcome(const flowloom::v1::Welcome& welcome) {
  RunSpec run = load_run_text(welcome.run_file(), "the coordinator's run file");
  const Sha256 identity = run.identity();
  const auto named = digest_of(welcome.identity());
  if (named != identity) {
    throw Error(ErrorCode::kConflict, "The coordinator names its run " + (named ? to_hex(*named) : "by no SHA-256") +
                                          ", and its run file reads as " + to_hex(identity) +
                                          " here; use the same version of Flowloom on both sides.");
  }
  if (options_.identity && *options_.identity != identity) {
    throw Error(ErrorCode::kConflict, "The coordinator owns run " + to_hex(identity) +
                                          ", this worker was told to expect " + to_hex(*options_.identity) +
                                          "; check the address.");
  }
  engine_ = engines_.find(run.numerics.engine);
  if (!engine_) {
    throw Error(ErrorCode::kConflict,
                "The run needs the engine \"" + run.numerics.engine + "\". " + engines_.missing());
  }
  shelf_.serve(identity);
  fetcher_.emplace(peer_, welcome.run_id());
  executor_.emplace(run, welcome.epoch(), *engine_, [this](std::uint32_t version) { return model_of(version); });
  run_ = std::move(run);
  spdlog::info("joined run {} as worker {}, epoch {}, engine {}", welcome.run_id(), welcome.worker(), welcome.epoch(),
               engine_->build());
  joined_();
}

std::optional<SessionEnd> Session::refused(const Refusal& refusal) {
  if (run_) {
    spdlog::warn("refused: {}", refusal.sentence());
    return {};
  }
  if (refusal.code() == Refusal::CODE_UNSPECIFIED) return SessionEnd{SessionEnd::Kind::kLost, refusal.sentence(), {}};
  const bool numerics = refusal.code() == Refusal::CODE_NUMERICS;
  if (numerics && engines_.open_others()) return SessionEnd{SessionEnd::Kind::kAgain, refusal.sentence(), {}};
  throw Error(ErrorCode::kConflict,
              refusal.sentence() + (numerics && !engines_.missing().empty() ? " " + engines_.missing() : ""));
}

void Session::prepare_version(const flowloom::v1::ModelVersion& model) {
  if (over()) return;
  versions_[model.version()] = model;
  WorkerMessage answer;
  try {
    model_of(model.version());
    answer.mutable_ready()->set_version(model.version());
    spdlog::info("version {} is loaded and reproduces its references", model.version());
  } catch (const std::exception& error) {
    if (over()) return;
    spdlog::warn("not ready for version {}: {}", model.version(), error.what());
    answer.mutable_not_ready()->set_version(model.version());
    answer.mutable_not_ready()->set_sentence(error.what());
  }
  send(answer);
}

void Session::sample(const flowloom::v1::SampleGrant& grant) {
  for (std::uint32_t i = 0; i < grant.units() && !over(); ++i) {
    const std::uint64_t unit = grant.first_unit() + i;
    const WorkerMessage answer = executor_->sample(grant, unit);
    if (answer.has_failure()) {
      if (over()) return;
      spdlog::error("unit {} failed: {}", unit, answer.failure().sentence());
    }
    send(answer);
  }
}

void Session::reweigh(const flowloom::v1::ReweighGrant& grant) {
  if (over()) return;
  const WorkerMessage answer = executor_->reweigh(grant);
  if (answer.has_failure()) {
    if (over()) return;
    spdlog::error("reweigh of state {} failed: {}", grant.index(), answer.failure().sentence());
  } else {
    spdlog::info("reweighed state {} under version {}: round trip {:.2e}, mismatch {:.2e}", grant.index(),
                 grant.version(), answer.reweigh().round_trip(), answer.reweigh().mismatch());
  }
  send(answer);
}

void Session::gradient(const flowloom::v1::GradientGrant& grant) {
  if (over()) return;
  WorkerMessage answer;
  if (grant.offer() < newest_offer_) {  // the step is done: an answer without numbers gives the credit back
    answer.mutable_gradient()->set_offer(grant.offer());
  } else {
    answer = executor_->gradient(grant);
  }
  if (answer.has_failure()) {
    if (over()) return;
    spdlog::error("gradient unit {} of step {} failed: {}", grant.unit(), grant.step(), answer.failure().sentence());
  }
  send(answer);
}

std::shared_ptr<const Model> Session::model_of(std::uint32_t version) {
  if (const auto known = versions_.find(version); known != versions_.end()) {
    if (const auto digest = digest_of(known->second.sha256())) {
      if (auto model = shelf_.find(*digest)) return model;
    }
  }
  return fetch_model(version);
}

void Session::progress(std::uint32_t version, Loading::Step step) {
  if (!wants_progress_) return;
  WorkerMessage message;
  message.mutable_loading()->set_version(version);
  message.mutable_loading()->set_step(step);
  send(message);
}

std::shared_ptr<const Model> Session::fetch_model(std::uint32_t version) {
  Retry retry("the registry of the coordinator at " + peer_.address,
              [](const std::string& line) { spdlog::warn("{}", line); });
  for (int damaged = 0;;) {
    try {
      if (!versions_.contains(version)) versions_[version] = fetcher_->look_up(version, over_.get_token());
      const flowloom::v1::ModelVersion& known = versions_.at(version);
      if (const auto digest = digest_of(known.sha256())) {
        if (auto model = shelf_.find(*digest)) return model;
      }
      const std::string bytes = fetcher_->fetch(known, over_.get_token());
      progress(version, Loading::STEP_FETCHED);
      auto model = load_model(bytes, "version " + std::to_string(version), *run_, *engine_,
                              [&] { progress(version, Loading::STEP_VERIFIED); });
      shelf_.put(sha256(bytes), model);
      retry.succeeded();
      return model;
    } catch (const Error& error) {
      const bool transfer = error.code() == ErrorCode::kUnavailable ||
                            (error.code() == ErrorCode::kCorrupt && ++damaged < kDamagedTransfers);
      if (!transfer || !retry.failed(error.what(), over_.get_token())) throw;
    }
  }
}

}  // namespace flowloom
