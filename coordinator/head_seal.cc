#include "coordinator/head_seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace flowloom {

using flowloom::v1::Seen;

std::string HeadSeal::hmac(const Seen& seen) const {
  const std::string text = "seen " + seen.run_id() + " " + std::to_string(seen.records()) + " " + seen.head();
  Sha256 code{};
  HMAC(EVP_sha256(), token_.data(), static_cast<int>(token_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), code.data(), nullptr);
  return std::string(bytes_of(code));
}

Seen HeadSeal::seal(std::int64_t records, const Sha256& head) const {
  Seen seen;
  seen.set_run_id(run_id_);
  seen.set_records(static_cast<std::uint64_t>(records));
  seen.set_head(head.data(), head.size());
  seen.set_seal(hmac(seen));
  return seen;
}

bool HeadSeal::holds(const Seen& seen) const {
  if (seen.run_id() != run_id_ || seen.seal().size() != sizeof(Sha256)) return false;
  const std::string wanted = hmac(seen);
  return CRYPTO_memcmp(wanted.data(), seen.seal().data(), wanted.size()) == 0;
}

std::optional<std::string> contradiction(const std::string& peer, const Seen& seen, std::int64_t records,
                                         const std::optional<Sha256>& link) {
  if (link && seen.head() == bytes_of(*link)) return {};
  const std::string number = std::to_string(seen.records());
  return "'" + peer + "' was told of record " + number + " of this log (link " + to_hex(seen.head()).substr(0, 16) +
         "…), and the store " +
         (link ? "has another one there (" + to_hex(*link).substr(0, 16) + "…)"
               : "ends at record " + std::to_string(records)) +
         ": it is an older copy, or not the one that was used last.";
}

}  // namespace flowloom
