#include "client/connection.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "chain/states_reply.h"
#include "client/idle_deadline.h"
#include "flowloom/v1/chain.grpc.pb.h"
#include "flowloom/v1/models.grpc.pb.h"
#include "program/rpc.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

std::string named(const Peer& peer) { return "The coordinator at " + peer.address; }

// Reads a stream until `visit` returns false or `stop` is requested; both cancel the call and are OK. With `patience`
// so does a message that does not come within it, and is CANCELLED.
template <class Reply>
grpc::Status follow_stream(grpc::ClientContext& context, grpc::ClientReaderInterface<Reply>& reader,
                           std::stop_token stop, const std::function<bool(const Reply&)>& visit,
                           std::optional<std::chrono::milliseconds> patience = {}) {
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  std::optional<IdleDeadline> idle;
  if (patience) idle.emplace(*patience, [&] { context.TryCancel(); });
  const auto next = [&](Reply& reply) {
    if (idle) idle->begin();
    const bool came = reader.Read(&reply);
    if (idle) idle->end();
    return came;
  };
  bool wanted = true;
  try {
    for (Reply reply; wanted && next(reply);) wanted = visit(reply);
  } catch (...) {
    context.TryCancel();
    reader.Finish();
    throw;
  }
  if (!wanted) context.TryCancel();
  const grpc::Status status = reader.Finish();
  return wanted && !stop.stop_requested() ? status : grpc::Status::OK;
}

}  // namespace

bool is_address(const std::string& where) {
  const auto colon = where.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == where.size()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!std::all_of(where.begin() + static_cast<std::ptrdiff_t>(colon) + 1, where.end(), is_digit)) return false;
  return where.find('/') == std::string::npos && !std::filesystem::exists(where);
}

Peer find_coordinator(const std::string& where, const ConnectionOptions& options) {
  PeerOptions peer{
      .token_file = options.token_file, .insecure = options.insecure, .tls = options.tls, .role = options.role};
  if (is_address(where)) {
    if (options.token_file.empty() && options.tls.empty()) {
      throw Error(ErrorCode::kInvalidInput,
                  "The coordinator at " + where +
                      " wants a token: name the folder that 'flowloom certs' made with --tls, "
                      "or a copy of the run directory's token with --token-file.");
    }
    peer.address = where;
  } else if (RunDirectory(where).exists()) {
    peer.directory = where;
  } else {
    RunDirectory(where).refuse_lost_store();
    throw Error(ErrorCode::kNotFound, "'" + where +
                                          "' is neither a run directory nor an address HOST:PORT; check "
                                          "the path, or start a run with 'flowloom up'.");
  }
  return PeerFinder(std::move(peer)).find();
}

v1::StatusReply Connection::status() const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::StatusReply reply;
  const auto stub = v1::Chain::NewStub(peer_.channel);
  if (const auto status = stub->Status(&context, {}, &reply); !status.ok()) throw to_error(status, peer_);
  return reply;
}

void Connection::watch_status(double interval, std::stop_token stop,
                              const std::function<bool(const v1::StatusReply&)>& visit) const {
  grpc::ClientContext context;
  prepare(context, peer_.token, std::chrono::milliseconds(0));
  v1::WatchStatusRequest request;
  request.set_interval_seconds(interval);
  *request.mutable_seen() = last_seen_->get();
  request.mutable_run()->set_run_id(request.seen().run_id());
  const auto stub = v1::Chain::NewStub(peer_.channel);
  const auto reader = stub->WatchStatus(&context, request);
  const auto status = follow_stream<v1::StatusReply>(context, *reader, stop, [&](const v1::StatusReply& reply) {
    if (reply.has_seen()) last_seen_->told(reply.seen());
    return visit(reply);
  });
  if (!status.ok()) throw to_error(status, peer_);
}

void Connection::stream_states(std::uint64_t first_index, bool follow, std::stop_token stop,
                               const std::function<bool(const UnitRecord&)>& visit) const {
  v1::StreamStatesRequest request;
  request.set_follow(follow);
  const auto stub = v1::Chain::NewStub(peer_.channel);
  for (bool paused = true; paused;) {
    grpc::ClientContext context;
    prepare(context, peer_.token, std::chrono::milliseconds(0));
    request.set_first_index(first_index);
    *request.mutable_seen() = last_seen_->get();
    request.mutable_run()->set_run_id(request.seen().run_id());
    const std::uint64_t before = first_index;
    const auto reader = stub->StreamStates(&context, request);
    const auto status = follow_stream<v1::StatesReply>(
        context, *reader, stop,
        [&](const v1::StatesReply& reply) {
          if (reply.has_seen()) last_seen_->told(reply.seen());
          first_index = reply.first_index() + reply.count();
          return visit(unit_of(reply, named(peer_)));
        },
        follow ? std::nullopt : std::optional<std::chrono::milliseconds>(limits::kSlowReader));
    // CANCELLED, not by us, is how a stream ends whose last word was not read either.
    const bool dropped = status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                         status.error_code() == grpc::StatusCode::CANCELLED;
    paused = dropped && first_index > before;
    if (!status.ok() && !paused) throw to_error(status, peer_);
  }
}

v1::ListReply Connection::models() const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::ListReply reply;
  const auto stub = v1::Models::NewStub(peer_.channel);
  if (const auto status = stub->List(&context, {}, &reply); !status.ok()) throw to_error(status, peer_);
  return reply;
}

v1::DescribeReply Connection::describe() const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::DescribeReply reply;
  const auto stub = v1::Models::NewStub(peer_.channel);
  if (const auto status = stub->Describe(&context, {}, &reply); !status.ok()) throw to_error(status, peer_);
  return reply;
}

std::vector<v1::TrainingPoint> Connection::training() const {
  std::vector<v1::TrainingPoint> points;
  const auto stub = v1::Models::NewStub(peer_.channel);
  v1::RecordRequest request;
  request.set_after_step(-1);
  for (v1::RecordReply reply;;) {
    grpc::ClientContext context;
    prepare(context, peer_.token, limits::kUnaryDeadline);
    if (const auto status = stub->Record(&context, request, &reply); !status.ok()) throw to_error(status, peer_);
    if (reply.points().empty()) return points;
    points.insert(points.end(), reply.points().begin(), reply.points().end());
    request.set_after_step(points.back().step());
  }
}

std::uint64_t Connection::activate(std::uint32_t version, const std::string& reason) const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::ActivateRequest request;
  request.set_version(version);
  request.set_reason(reason);
  v1::ActivateReply reply;
  const auto stub = v1::Models::NewStub(peer_.channel);
  if (const auto status = stub->Activate(&context, request, &reply); !status.ok()) throw to_error(status, peer_);
  return reply.from();
}

void Connection::drain() const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::DrainReply reply;
  const auto stub = v1::Chain::NewStub(peer_.channel);
  if (const auto status = stub->Drain(&context, {}, &reply); !status.ok()) throw to_error(status, peer_);
}

void Connection::recheck(double share, std::uint32_t seed) const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  v1::RecheckRequest request;
  request.set_share(share);
  request.set_seed(seed);
  v1::RecheckReply reply;
  const auto stub = v1::Chain::NewStub(peer_.channel);
  if (const auto status = stub->Recheck(&context, request, &reply); !status.ok()) throw to_error(status, peer_);
}

}  // namespace flowloom
