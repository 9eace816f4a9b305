#include "program/tls_folder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "program/certificates.h"
#include "program/secrets.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

constexpr std::chrono::hours kWarning{24 * 30};  // before a certificate expires

std::string quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

KeyPair read_pair(const std::filesystem::path& certificate) {
  KeyPair pair{read_file(certificate), read_secret(TlsFolder::key_of(certificate))};
  const CertificateFacts facts = read_certificate(pair.certificate, quoted(certificate));
  if (!belong_together(pair)) {
    throw Error(ErrorCode::kCorrupt, quoted(certificate) + " and " + quoted(TlsFolder::key_of(certificate)) +
                                         " do not belong together; copy both from one folder.");
  }
  const auto now = std::chrono::system_clock::now();
  if (facts.until < now) {
    throw Error(ErrorCode::kCorrupt, quoted(certificate) + " expired on " + date(facts.until) +
                                         "; remove it with its key and let 'flowloom certs' make a new one.");
  }
  if (facts.until < now + kWarning) spdlog::warn("{} expires on {}", quoted(certificate), date(facts.until));
  return pair;
}

std::string read_authority(const std::filesystem::path& file) {
  std::string pem = read_file(file);
  read_certificate(pem, quoted(file));
  return pem;
}

}  // namespace

std::filesystem::path TlsFolder::server(const std::string& host) const {
  std::string name = host;
  std::replace(name.begin(), name.end(), '*', '_');
  return path_ / ("server-" + name + ".crt");
}

std::vector<std::filesystem::path> TlsFolder::servers() const {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("server-") && name.ends_with(".crt")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

ServerTls TlsFolder::server_side(const std::string& host) const {
  const std::string authority = read_authority(this->authority());
  std::string others;
  for (const auto& file : servers()) {
    const std::string pem = read_file(file);
    if (!is_for_host(pem, host)) {
      for (const std::string& name : read_certificate(pem, quoted(file)).hosts)
        others += (others.empty() ? "" : ", ") + name;
      continue;
    }
    const KeyPair pair = read_pair(file);
    return {authority, pair.certificate, pair.key, path_};
  }
  throw Error(ErrorCode::kNotFound, "No certificate in " + quoted(path_) + " is for '" + host + "'" +
                                        (others.empty() ? "" : " (but for " + others + ")") +
                                        "; make one with 'flowloom certs " + path_.string() + " --host " + host +
                                        "', or --listen where callers use another name.");
}

ClientTls TlsFolder::client_side() const {
  ClientTls tls{read_authority(authority()), "", ""};
  if (std::filesystem::exists(client())) {
    const KeyPair pair = read_pair(client());
    tls.certificate = pair.certificate;
    tls.key = pair.key;
  }
  return tls;
}

}  // namespace flowloom
