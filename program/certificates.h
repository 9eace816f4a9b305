// Makes and reads X.509 certificates: a small authority for one cluster, and what it signs.
//
// Keys are on the curve P-256, which every TLS library in use takes. All texts are PEM.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace flowloom {

struct KeyPair {
  std::string certificate, key;
};

// From when to when a certificate counts.
struct Validity {
  std::chrono::system_clock::time_point from, until;
};

// Ten years for an authority and two for what it signs, from an hour ago: clocks differ.
Validity authority_validity();
Validity certificate_validity();

// May sign certificates, but no further authorities.
KeyPair make_authority(const std::string& name, const Validity& validity);

// For a coordinator that is called by one of `hosts` (names, "*.names" or IP addresses). Throws `kInvalidInput` for a
// host that is none, and if `authority` is not a certificate with its key.
KeyPair make_server_certificate(const KeyPair& authority, const std::vector<std::string>& hosts,
                                const Validity& validity);

// For the programs that call it.
KeyPair make_client_certificate(const KeyPair& authority, const std::string& name, const Validity& validity);

// What a certificate says. Throws `kCorrupt` if `pem` is none; `what` names it in the sentence.
struct CertificateFacts {
  std::chrono::system_clock::time_point until;
  std::vector<std::string> hosts;
};
CertificateFacts read_certificate(const std::string& pem, const std::string& what);

// True if a caller that uses the name or address `host` finds it in the certificate.
bool is_for_host(const std::string& pem, const std::string& host);

// True if `key` is the private key of the certificate.
bool belong_together(const KeyPair& pair);

// "2028-11-22".
std::string date(std::chrono::system_clock::time_point time);

}  // namespace flowloom
