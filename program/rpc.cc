#include "program/rpc.h"

#include <algorithm>
#include <cmath>

#include "flowloom/v1/common.pb.h"
#include "program/address.h"

namespace flowloom {
namespace {

struct Pair {
  ErrorCode code;
  grpc::StatusCode status;
};

// Some share a status; the first row wins on the way back.
constexpr Pair kPairs[] = {
    {ErrorCode::kInvalidInput, grpc::StatusCode::INVALID_ARGUMENT},
    {ErrorCode::kNotFound, grpc::StatusCode::NOT_FOUND},
    {ErrorCode::kConflict, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kInUse, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kHalted, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kCorrupt, grpc::StatusCode::DATA_LOSS},
    {ErrorCode::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED},
    {ErrorCode::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED},
    {ErrorCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
    {ErrorCode::kUnavailable, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {ErrorCode::kInternal, grpc::StatusCode::INTERNAL},
};

// gRPC tells of a failure from the outside in: "failed to connect to all addresses; last error: UNKNOWN: …: Connection
// refused".
std::string cause(const std::string& message) {
  const auto colon = message.rfind(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2);
}

}  // namespace

std::chrono::milliseconds wait_of(double seconds) {
  constexpr double kLongest = 3600;
  if (!(seconds > 0)) return {};
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(1000 * std::min(seconds, kLongest))));
}

grpc::Status to_status(const Error& error) {
  for (const Pair& pair : kPairs) {
    if (pair.code != error.code()) continue;
    if (pair.status != grpc::StatusCode::UNAVAILABLE) return grpc::Status(pair.status, error.what());
    flowloom::v1::Unavailable details;
    details.set_retry_after_seconds(std::chrono::duration<double>(error.retry_after()).count());
    return grpc::Status(pair.status, error.what(), details.SerializeAsString());
  }
  return grpc::Status(grpc::StatusCode::INTERNAL, error.what());
}

Error to_error(const grpc::Status& status, const std::string& what) {
  const std::string message = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED:  // these two by a connection that broke, or a coordinator that ends
    case grpc::StatusCode::UNKNOWN: {
      flowloom::v1::Unavailable details;
      if (details.ParseFromString(status.error_details()) && details.has_retry_after_seconds()) {
        return Error(ErrorCode::kUnavailable, what + ": " + message, wait_of(details.retry_after_seconds()));
      }
      return Error(ErrorCode::kUnavailable, what + " does not answer (" + cause(message) + "); check that it runs.");
    }
    default:
      break;
  }
  for (const Pair& pair : kPairs) {
    if (pair.status == status.error_code()) return Error(pair.code, what + ": " + message);
  }
  return Error(ErrorCode::kInternal, what + ": " + message);
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& address, bool insecure,
                                            const std::optional<ClientTls>& tls) {
  if (!tls && !is_loopback(address) && !insecure) throw not_on_loopback("'" + address + "'");
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageBytes));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(std::chrono::milliseconds(limits::kKeepAlive).count()));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(std::chrono::milliseconds(limits::kKeepAlive).count()));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // A new channel begins anew: it does not wait where another one to this address failed.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A proxy of the environment is for the world outside, and a cluster's coordinator is not there.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto credentials =
      tls ? grpc::SslCredentials({tls->authority, tls->key, tls->certificate}) : grpc::InsecureChannelCredentials();
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

void prepare(grpc::ClientContext& context, const std::string& token, std::chrono::milliseconds deadline) {
  context.AddMetadata("authorization", "Bearer " + token);
  if (deadline.count() > 0) context.set_deadline(std::chrono::system_clock::now() + deadline);
}

}  // namespace flowloom
