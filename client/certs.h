// What `flowloom certs` does: fills a folder (TlsFolder) with an authority, certificates and tokens for one cluster.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flowloom {

struct MadeCerts {
  std::vector<std::filesystem::path> files;  // that were not there before
  std::filesystem::path server;              // the coordinator's new certificate; empty if none was made
  std::vector<std::string> hosts;            // that it is for
};

// Makes what is missing in `folder` and overwrites nothing. A coordinator's certificate is made for `hosts`, and for
// this machine's own name if there is no host and no such certificate yet; each is for loopback too. Keys and tokens
// get mode 0600. Throws `kConflict` if a certificate for the first host is there which is not for all of them,
// `kNotFound` if the authority is there without its key.
MadeCerts make_certs(const std::filesystem::path& folder, std::vector<std::string> hosts);

}  // namespace flowloom
