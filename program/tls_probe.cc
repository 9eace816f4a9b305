#include "program/tls_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "program/address.h"
#include "program/certificates.h"
#include "program/openssl.h"
#include "program/rpc.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;
using openssl::good;

constexpr char kHttp2[] = "\x02h2";

// A connection that never waits longer than until its deadline.
class Socket {
 public:
  Socket(const std::string& host, const std::string& port, Clock::time_point deadline) : deadline_(deadline) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return;
    for (const addrinfo* at = found; at && !connected_; at = at->ai_next) connect(*at);
    ::freeaddrinfo(found);
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }

  bool wait(short events) const {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      if (left <= 0) return false;
      pollfd entry{fd_, events, 0};
      const int ready = ::poll(&entry, 1, static_cast<int>(left));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

 private:
  void connect(const addrinfo& to) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::socket(to.ai_family, to.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to.ai_protocol);
    if (fd_ < 0) return;
    if (::connect(fd_, to.ai_addr, to.ai_addrlen) != 0 && (errno != EINPROGRESS || !wait(POLLOUT))) return;
    int error = 0;
    socklen_t size = sizeof error;
    connected_ = ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }

  Clock::time_point deadline_;
  int fd_ = -1;
  bool connected_ = false;
};

struct Handshake {
  bool tls = false;      // the other side speaks it,
  bool plain = false;    // or said something else
  bool asked = false;    // for our certificate
  bool hung_up = false;  // without a word, after our part was done: a coordinator's first words come by themselves
  long verified = X509_V_OK;
  std::string certificate;  // of the other side
};

openssl::Context context_for(const std::optional<ClientTls>& tls) {
  openssl::Context context(good(SSL_CTX_new(TLS_client_method()), "TLS"));
  // Nothing is said here but the handshake, and its faults are looked at afterwards.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  if (!tls) return context;
  if (const auto authority = openssl::certificate_of(tls->authority)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority.get());
  }
  const auto certificate = openssl::certificate_of(tls->certificate);
  const auto key = openssl::key_of(tls->key);
  if (certificate && key) {
    SSL_CTX_use_certificate(context.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
  }
  ERR_clear_error();
  return context;
}

enum class Driven { kDone, kTooLate, kFailed };

// Repeats `step` until it is done, fails or takes too long.
template <class Step>
Driven drive(SSL* session, const Socket& socket, Step step) {
  for (;;) {
    ERR_clear_error();
    const int result = step();
    if (result > 0) return Driven::kDone;
    const int error = SSL_get_error(session, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return Driven::kFailed;
    if (!socket.wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) return Driven::kTooLate;
  }
}

Handshake shake_hands(const Socket& socket, const std::string& host, const std::optional<ClientTls>& tls) {
  Handshake seen;
  const openssl::Context context = context_for(tls);
  const openssl::Session session(good(SSL_new(context.get()), "TLS"));
  SSL* const ssl = session.get();
  SSL_set_fd(ssl, socket.fd());
  SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(kHttp2), sizeof kHttp2 - 1);
  SSL_set_tlsext_host_name(ssl, host.c_str());
  const auto asked = [](SSL*, void* flag) {
    *static_cast<bool*>(flag) = true;
    return 1;
  };
  SSL_set_cert_cb(ssl, asked, &seen.asked);
  Driven driven = drive(ssl, socket, [&] { return SSL_connect(ssl); });
  if (driven == Driven::kFailed) {
    const int reason = ERR_GET_REASON(ERR_peek_error());
    seen.plain = reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST;
  } else if (driven == Driven::kDone) {
    char first = 0;
    driven = drive(ssl, socket, [&] { return SSL_read(ssl, &first, 1); });
  }
  seen.hung_up = driven == Driven::kFailed;
  seen.verified = SSL_get_verify_result(ssl);
  if (const openssl::Certificate shown{SSL_get1_peer_certificate(ssl)}) {
    seen.tls = true;
    seen.certificate = openssl::pem_of(shown.get());
  }
  ERR_clear_error();
  return seen;
}

std::string joined(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) text += (text.empty() ? "" : ", ") + host;
  return text.empty() ? "nobody" : text;
}

std::string server_fault(const Handshake& seen, const std::string& host) {
  const CertificateFacts facts = read_certificate(seen.certificate, "What it shows");
  switch (seen.verified) {
    case X509_V_OK:
      if (is_for_host(seen.certificate, host)) return "";
      return "shows a certificate for " + joined(facts.hosts) + ", not for " + host +
             "; call it by one of these names, or make a certificate with 'flowloom certs DIR --host " + host + "'.";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "shows a certificate that expired on " + date(facts.until) +
             "; make a new one with 'flowloom certs' and start the coordinator again.";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "shows a certificate that does not count yet; set the clocks of both machines.";
    default:
      return std::string("shows a certificate that the authority here did not sign (") +
             X509_verify_cert_error_string(seen.verified) +
             "); copy ca.crt from the folder that it was started with, and check the address.";
  }
}

struct Place {
  std::string address, host, port;
};

std::optional<Error> look(const Place& place, const std::optional<ClientTls>& tls, bool again) {
  const Socket socket(place.host, place.port, Clock::now() + limits::kProbe);
  if (!socket.connected()) return {};
  const Handshake seen = shake_hands(socket, place.host, tls);
  const auto trouble = [&](ErrorCode code, const std::string& what) {
    return Error(code, "The coordinator at " + place.address + " " + what);
  };
  if (!tls) {
    if (!seen.tls) return {};
    return trouble(ErrorCode::kInvalidInput,
                   "speaks TLS; name the folder that 'flowloom certs' made with --tls, or the run's directory.");
  }
  if (seen.plain) {
    return trouble(ErrorCode::kInvalidInput, "does not speak TLS; start it with --tls, or check the address.");
  }
  if (!seen.tls) return {};
  if (const std::string fault = server_fault(seen, place.host); !fault.empty()) {
    return trouble(ErrorCode::kUnauthenticated, fault);
  }
  if (!seen.asked || !seen.hung_up) return {};
  // gRPC does not say that it dislikes a certificate, it hangs up, as a coordinator does that is killed at this moment.
  if (!again) return look(place, tls, true);
  return trouble(
      ErrorCode::kUnauthenticated,
      tls->certificate.empty()
          ? "wants a client certificate; copy client.crt and client.key from the folder that 'flowloom certs' "
            "made, and name theirs with --tls."
          : "refuses the certificate that this program shows; copy client.crt and client.key from the folder "
            "that the coordinator was started with.");
}

}  // namespace

std::optional<Error> tls_trouble(const std::string& address, const std::optional<ClientTls>& tls) {
  const auto [host, port] = split_address(address);
  if (port.empty()) return {};
  return look({address, host, port}, tls, false);
}

}  // namespace flowloom
