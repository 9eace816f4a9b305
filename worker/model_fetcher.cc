#include "worker/model_fetcher.h"

#include "program/rpc.h"
#include "spec/sha256.h"

namespace flowloom {

using flowloom::v1::ModelVersion;

ModelFetcher::ModelFetcher(const Peer& peer, std::string run_id)
    : peer_(peer), run_id_(std::move(run_id)), stub_(flowloom::v1::Models::NewStub(peer.channel)) {}

ModelVersion ModelFetcher::look_up(std::uint32_t version, std::stop_token stop) const {
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kUnaryDeadline);
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  flowloom::v1::ListRequest request;
  request.mutable_run()->set_run_id(run_id_);
  flowloom::v1::ListReply reply;
  const grpc::Status status = stub_->List(&context, request, &reply);
  if (stop.stop_requested()) throw Error(ErrorCode::kUnavailable, "The call was given up.");
  if (!status.ok()) throw to_error(status, peer_);
  for (const ModelVersion& model : reply.versions()) {
    if (model.version() == version) return model;
  }
  throw Error(ErrorCode::kNotFound, "The coordinator has no version " + std::to_string(version) + ".");
}

std::string ModelFetcher::fetch(const ModelVersion& model, std::stop_token stop) const {
  const std::string name = "version " + std::to_string(model.version());
  if (model.size() > limits::kModelBytes) {
    throw Error(ErrorCode::kInvalidInput, name + " has " + std::to_string(model.size()) +
                                              " bytes; a checkpoint has at most " +
                                              std::to_string(limits::kModelBytes) + ".");
  }
  grpc::ClientContext context;
  prepare(context, peer_.token, limits::kTransferDeadline);
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  flowloom::v1::FetchRequest request;
  request.mutable_run()->set_run_id(run_id_);
  request.set_version(model.version());
  std::string bytes;
  const auto stream = stub_->Fetch(&context, request);
  for (flowloom::v1::FetchReply reply; stream->Read(&reply);) {
    bytes += reply.chunk();
    if (bytes.size() > model.size()) context.TryCancel();  // reading goes on until the stream has ended
  }
  const grpc::Status status = stream->Finish();
  if (stop.stop_requested()) throw Error(ErrorCode::kUnavailable, "The transfer was given up.");
  if (!status.ok() && bytes.size() <= model.size()) throw to_error(status, peer_);
  const Sha256 digest = sha256(bytes);
  if (bytes.size() != model.size() || model.sha256() != bytes_of(digest)) {
    throw Error(ErrorCode::kCorrupt, name + " did not arrive whole: " + std::to_string(bytes.size()) + " of " +
                                         std::to_string(model.size()) + " bytes, or another SHA-256.");
  }
  return bytes;
}

}  // namespace flowloom
