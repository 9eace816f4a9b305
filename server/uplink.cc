#include "server/uplink.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "program/retry.h"
#include "program/rpc.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

using flowloom::v1::Models;
using Clock = std::chrono::steady_clock;

void log_warning(const std::string& line) { spdlog::warn("{}", line); }

// Statuses of a coordinator that goes down or has no room come as these two.
bool may_pass(const Error& error) {
  return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kInternal;
}

void throw_unless_ok(const grpc::Status& status, const Peer& peer) {
  if (!status.ok()) throw to_error(status, peer);
}

}  // namespace

std::optional<flowloom::v1::DescribeReply> describe(PeerFinder& finder, std::chrono::milliseconds wait,
                                                    std::stop_token stop) {
  Retry retry(finder.name(), log_warning);
  const auto deadline = Clock::now() + wait;
  while (!stop.stop_requested()) {
    try {
      const Peer peer = finder.find();
      grpc::ClientContext context;
      prepare(context, peer.token, limits::kUnaryDeadline);
      const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
      flowloom::v1::DescribeReply reply;
      throw_unless_ok(Models::NewStub(peer.channel)->Describe(&context, {}, &reply), peer);
      retry.succeeded();
      return reply;
    } catch (const Error& error) {
      if (!may_pass(error)) throw;
      if (Clock::now() >= deadline && !stop.stop_requested()) {
        throw Error(ErrorCode::kUnavailable, "No answer from " + finder.name() + " within " +
                                                 std::to_string(wait.count() / 1000) + " seconds (" + error.what() +
                                                 "); start it, or wait longer with --wait.");
      }
      retry.failed(error.what(), stop, error.retry_after());
    }
  }
  return {};
}

Uplink::Uplink(PeerFinder finder, std::string run_id) : finder_(std::move(finder)), run_id_(std::move(run_id)) {
  thread_ = std::jthread([this](std::stop_token stop) { deliver(stop); });
}

void Uplink::publish(flowloom::v1::PublishHeader header, std::string bytes) {
  const Sha256 digest = sha256(bytes);
  header.mutable_run()->set_run_id(run_id_);
  header.set_size(bytes.size());
  header.set_sha256(digest.data(), digest.size());
  const std::lock_guard lock(mutex_);
  parcels_.push_back({std::move(header), std::move(bytes)});
  changed_.notify_all();
}

void Uplink::report(flowloom::v1::TrainingReport report) {
  report.mutable_run()->set_run_id(run_id_);
  const std::lock_guard lock(mutex_);
  report_ = std::move(report);
  changed_.notify_all();
}

void Uplink::record(flowloom::v1::TrainingPoint point) {
  const std::lock_guard lock(mutex_);
  points_.push_back(std::move(point));
}

std::vector<flowloom::v1::TrainingPoint> Uplink::undelivered() const {
  const std::lock_guard lock(mutex_);
  return {points_.begin(), points_.end()};
}

bool Uplink::chain_complete() const {
  const std::lock_guard lock(mutex_);
  return chain_complete_;
}

void Uplink::check() const {
  const std::lock_guard lock(mutex_);
  if (refusal_) std::rethrow_exception(refusal_);
}

bool Uplink::drain(std::stop_token stop, std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock lock(mutex_);
  const auto done = [&] { return idle() || refusal_; };
  if (limit) {
    changed_.wait_for(lock, stop, *limit, done);
  } else {
    changed_.wait(lock, stop, done);
  }
  return idle();
}

void Uplink::deliver(std::stop_token stop) {
  Retry retry(finder_.name(), log_warning);
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !refusal_ && (!parcels_.empty() || report_); })) {
    // Only this thread takes parcels away, and `push_back` leaves the first where it is.
    const Parcel* parcel = parcels_.empty() ? nullptr : &parcels_.front();
    auto report = parcel ? std::nullopt : std::exchange(report_, std::nullopt);
    busy_ = true;
    lock.unlock();
    std::exception_ptr refusal;
    bool delivered = false;
    std::chrono::milliseconds come_back{0};
    try {
      const Peer peer = finder_.find();
      if (parcel) {
        send(peer, *parcel, stop);
      } else {
        come_back = send(peer, *report, stop);
      }
      delivered = true;
      retry.succeeded();
    } catch (const Error& error) {
      if (!may_pass(error)) refusal = std::current_exception();
      if (!refusal) retry.failed(error.what(), stop, error.retry_after());
    }
    lock.lock();
    busy_ = false;
    if (parcel && delivered) parcels_.pop_front();
    if (report && !delivered && !report_) report_ = std::move(report);
    refusal_ = refusal;
    changed_.notify_all();
    if (come_back.count() > 0) {
      lock.unlock();
      retry.failed("the coordinator is going down", stop, come_back);
      lock.lock();
    }
    if (stop.stop_requested()) return;
  }
}

void Uplink::send(const Peer& peer, const Parcel& parcel, std::stop_token stop) const {
  grpc::ClientContext context;
  prepare(context, peer.token, limits::kTransferDeadline);
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  const auto stub = Models::NewStub(peer.channel);
  flowloom::v1::PublishReply reply;
  const auto stream = stub->Publish(&context, &reply);
  flowloom::v1::PublishRequest request;
  *request.mutable_header() = parcel.header;
  bool open = stream->Write(request);
  for (std::size_t sent = 0; open && sent < parcel.bytes.size(); sent += limits::kChunkBytes) {
    request.set_chunk(parcel.bytes.substr(sent, limits::kChunkBytes));
    open = stream->Write(request);
  }
  stream->WritesDone();
  throw_unless_ok(stream->Finish(), peer);
  spdlog::info("published as version {}: step {}, ESS {:.3f}, {}", reply.version().version(),
               parcel.header.training_step(), parcel.header.ess(), parcel.header.origin());
}

// With the oldest points; with more reports for the others.
std::chrono::milliseconds Uplink::send(const Peer& peer, flowloom::v1::TrainingReport report, std::stop_token stop) {
  const auto stub = Models::NewStub(peer.channel);
  for (bool more = true;;) {
    report.clear_points();
    *report.mutable_seen() = last_seen_.get();
    {
      const std::lock_guard lock(mutex_);
      const auto count = std::min<std::size_t>(points_.size(), limits::kReportedPoints);
      for (std::size_t i = 0; i < count; ++i) *report.add_points() = points_[i];
      more = count < points_.size();
    }
    grpc::ClientContext context;
    prepare(context, peer.token, limits::kUnaryDeadline);
    const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
    flowloom::v1::ReportReply reply;
    throw_unless_ok(stub->Report(&context, report, &reply), peer);
    if (reply.has_seen()) last_seen_.told(std::move(*reply.mutable_seen()));
    const std::lock_guard lock(mutex_);
    chain_complete_ = reply.complete();
    points_.erase(points_.begin(), points_.begin() + report.points_size());  // `record` only adds behind them
    if (!more) return wait_of(reply.reconnect_after_seconds());
  }
}

}  // namespace flowloom
