#include "coordinator/listening.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>

#include "program/address.h"
#include "program/limits.h"
#include "spec/error.h"

namespace flowloom {
namespace {

Error cannot_bind(const std::string& address) {
  return Error(ErrorCode::kConflict, "The address " + address +
                                         " cannot be bound: the port is in use, or the address is "
                                         "not this host's; choose another with --listen (port 0 takes a free one).");
}

std::shared_ptr<grpc::ServerCredentials> credentials(const ServerTls& tls) {
  grpc::SslServerCredentialsOptions options(tls.require_client_certificate
                                                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = tls.authority;
  options.pem_key_cert_pairs = {{tls.key, tls.certificate}};
  return grpc::SslServerCredentials(options);
}

}  // namespace

void refuse_unusable_address(const std::string& address, bool accepted) {
  const auto [host, port] = split_address(address);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535) {
    throw Error(ErrorCode::kInvalidInput, "--listen " + address + " must be HOST:PORT, for example 127.0.0.1:4000.");
  }
  if (!is_loopback(address) && !accepted) throw not_on_loopback("--listen " + address);
  using boost::asio::ip::tcp;
  boost::asio::io_context io;
  boost::system::error_code error;
  const auto found = tcp::resolver(io).resolve(host, port, tcp::resolver::passive, error);
  if (error || found.empty()) {
    throw Error(ErrorCode::kInvalidInput, "--listen " + address + ": the name '" + host + "' is not known here" +
                                              (error ? " (" + error.message() + ")" : "") +
                                              "; give a name or an address of this host.");
  }
  tcp::acceptor acceptor(io);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (error) throw cannot_bind(address);
}

Listening listen_at(const std::string& address, const std::optional<ServerTls>& tls,
                    std::initializer_list<grpc::Service*> services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, tls ? credentials(*tls) : grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  const auto milliseconds = [](auto time) { return static_cast<int>(std::chrono::milliseconds(time).count()); };
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, milliseconds(limits::kHandshake));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, milliseconds(limits::kIdleConnection));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits::kStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits::kHeaderBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(limits::kKeepAlive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(limits::kKeepAlive));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageBytes));
  for (grpc::Service* service : services) builder.RegisterService(service);
  auto server = builder.BuildAndStart();
  if (!server || port == 0) throw cannot_bind(address);
  return {std::move(server), address.substr(0, address.rfind(':')) + ":" + std::to_string(port)};
}

}  // namespace flowloom
