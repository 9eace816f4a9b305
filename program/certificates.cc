#include "program/certificates.h"

#include <arpa/inet.h>
#include <openssl/rand.h>

#include <array>
#include <ctime>

#include "program/openssl.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using openssl::good;
using openssl::pem_of;

std::optional<std::vector<unsigned char>> ip_bytes(const std::string& host) {
  std::vector<unsigned char> bytes(16);
  if (::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) {
    bytes.resize(4);
    return bytes;
  }
  if (::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return bytes;
  return {};
}

bool is_name(const std::string& host) {
  const std::string rest = host.starts_with("*.") ? host.substr(2) : host;
  return !rest.empty() && host.size() <= 253 && rest.front() != '.' && rest.front() != '-' && rest.back() != '.' &&
         rest.find("..") == std::string::npos &&
         rest.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
             std::string::npos;
}

void add_name(GENERAL_NAMES* names, const std::string& host) {
  const auto ip = ip_bytes(host);
  if (!ip && !is_name(host)) {
    throw Error(ErrorCode::kInvalidInput, "'" + host +
                                              "' is neither the name of a host nor an IP address; give one as callers "
                                              "do, without a port.");
  }
  GENERAL_NAME* name = good(GENERAL_NAME_new(), "a name");
  ASN1_STRING* value = good(ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new(), "a name");
  const auto* data = ip ? ip->data() : reinterpret_cast<const unsigned char*>(host.data());
  good(ASN1_STRING_set(value, data, static_cast<int>(ip ? ip->size() : host.size())), "a name");
  GENERAL_NAME_set0_value(name, ip ? GEN_IPADD : GEN_DNS, value);
  good(sk_GENERAL_NAME_push(names, name), "a name");
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const openssl::Extension extension(good(X509V3_EXT_conf_nid(nullptr, &context, nid, value), "an extension"));
  good(X509_add_ext(certificate, extension.get(), -1), "an extension");
}

struct Draft {
  std::string name;
  Validity validity;
  std::vector<std::pair<int, const char*>> extensions;
  std::vector<std::string> hosts;
};

// Signed by itself without an authority.
KeyPair make(const Draft& draft, const KeyPair* authority) {
  const openssl::Key key(good(EVP_EC_gen("P-256"), "making a key"));
  openssl::Certificate issuer;
  openssl::Key issuer_key;
  if (authority) {
    issuer = openssl::certificate_of(authority->certificate);
    issuer_key = openssl::key_of(authority->key);
    if (!issuer || !issuer_key || X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
      ERR_clear_error();
      throw Error(ErrorCode::kInvalidInput,
                  "The authority's certificate and key do not belong together; take both from one folder.");
    }
  }
  const openssl::Certificate certificate(good(X509_new(), "a certificate"));
  X509* const x509 = certificate.get();
  good(X509_set_version(x509, X509_VERSION_3), "a certificate");
  std::array<unsigned char, 16> serial;
  good(RAND_bytes(serial.data(), serial.size()) == 1, "random numbers");
  serial[0] = static_cast<unsigned char>((serial[0] & 0x3f) | 0x40);  // positive, and never shorter
  BIGNUM* const number = good(BN_bin2bn(serial.data(), serial.size(), nullptr), "a serial number");
  const bool numbered = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nullptr;
  BN_free(number);
  good(numbered, "a serial number");
  const auto seconds = [](auto time) { return std::chrono::system_clock::to_time_t(time); };
  good(ASN1_TIME_set(X509_getm_notBefore(x509), seconds(draft.validity.from)), "a date");
  good(ASN1_TIME_set(X509_getm_notAfter(x509), seconds(draft.validity.until)), "a date");
  X509_NAME* const subject = X509_get_subject_name(x509);
  good(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(draft.name.c_str()), -1, -1, 0),
       "a name");
  good(X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer.get()) : subject), "a name");
  good(X509_set_pubkey(x509, key.get()), "a certificate");
  X509* const signer = issuer ? issuer.get() : x509;
  for (const auto& [nid, value] : draft.extensions) add_extension(x509, signer, nid, value);
  add_extension(x509, signer, NID_subject_key_identifier, "hash");
  if (issuer) add_extension(x509, signer, NID_authority_key_identifier, "keyid:always");
  if (!draft.hosts.empty()) {
    const openssl::Names names(good(GENERAL_NAMES_new(), "names"));
    for (const std::string& host : draft.hosts) add_name(names.get(), host);
    good(X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT), "names");
  }
  good(X509_sign(x509, issuer_key ? issuer_key.get() : key.get(), EVP_sha256()), "signing");
  return {pem_of(x509), pem_of(key.get())};
}

Validity from_now(std::chrono::hours time) {
  const auto now = std::chrono::system_clock::now();
  return {now - 1h, now + time};
}

}  // namespace

Validity authority_validity() { return from_now(24h * 3652); }
Validity certificate_validity() { return from_now(24h * 730); }

KeyPair make_authority(const std::string& name, const Validity& validity) {
  return make({name,
               validity,
               {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}, {NID_key_usage, "critical,keyCertSign,cRLSign"}},
               {}},
              nullptr);
}

KeyPair make_server_certificate(const KeyPair& authority, const std::vector<std::string>& hosts,
                                const Validity& validity) {
  return make({"Flowloom coordinator",
               validity,
               {{NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "serverAuth"}},
               hosts},
              &authority);
}

KeyPair make_client_certificate(const KeyPair& authority, const std::string& name, const Validity& validity) {
  return make({name,
               validity,
               {{NID_basic_constraints, "critical,CA:FALSE"},
                {NID_key_usage, "critical,digitalSignature"},
                {NID_ext_key_usage, "clientAuth"}},
               {}},
              &authority);
}

CertificateFacts read_certificate(const std::string& pem, const std::string& what) {
  const openssl::Certificate certificate = openssl::certificate_of(pem);
  std::tm until{};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &until) != 1) {
    throw Error(ErrorCode::kCorrupt, what + " is no certificate; copy it again.");
  }
  CertificateFacts facts{std::chrono::system_clock::from_time_t(::timegm(&until)), {}};
  const openssl::Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
    const unsigned char* data = ASN1_STRING_get0_data(value);
    if (type == GEN_DNS) facts.hosts.emplace_back(reinterpret_cast<const char*>(data), size);
    if (type == GEN_IPADD && (size == 4 || size == 16)) {
      char text[INET6_ADDRSTRLEN] = "";
      ::inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, sizeof text);
      facts.hosts.emplace_back(text);
    }
  }
  ERR_clear_error();
  return facts;
}

bool is_for_host(const std::string& pem, const std::string& host) {
  const openssl::Certificate certificate = openssl::certificate_of(pem);
  if (!certificate) return false;
  const bool found = ip_bytes(host) ? X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1
                                    : X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1;
  ERR_clear_error();
  return found;
}

bool belong_together(const KeyPair& pair) {
  const openssl::Certificate certificate = openssl::certificate_of(pair.certificate);
  const openssl::Key key = openssl::key_of(pair.key);
  const bool match = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return match;
}

std::string date(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

}  // namespace flowloom
