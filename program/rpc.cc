#include "program/rpc.h"

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

}  // namespace

grpc::Status to_status(const Error& error) {
  for (const Pair& pair : kPairs) {
    if (pair.code == error.code()) return grpc::Status(pair.status, error.what());
  }
  return grpc::Status(grpc::StatusCode::INTERNAL, error.what());
}

Error to_error(const grpc::Status& status, const std::string& what) {
  const std::string message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Error(ErrorCode::kUnavailable, what + " does not answer (" + message + "); check that it runs.");
  }
  for (const Pair& pair : kPairs) {
    if (pair.status == status.error_code()) return Error(pair.code, what + ": " + message);
  }
  return Error(ErrorCode::kInternal, what + ": " + message);
}

bool is_loopback(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;  // 127.example.org is no loopback
  return host == "localhost" || host == "[::1]" || (numeric && host.starts_with("127."));
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& address, bool insecure,
                                            const std::optional<ClientTls>& tls) {
  if (!tls && !is_loopback(address) && !insecure) {
    throw Error(ErrorCode::kInvalidInput,
                "'" + address +
                    "' is not on loopback: without TLS, numbers and token would travel readable by others. Name the "
                    "folder that 'flowloom certs' made with --tls, or give --insecure to accept that.");
  }
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
