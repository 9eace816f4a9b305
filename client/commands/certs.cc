// flowloom certs: an authority, certificates and tokens for a cluster, and what goes where.
#include <ostream>

#include "client/certs.h"
#include "client/commands/commands.h"
#include "program/certificates.h"
#include "program/tls_folder.h"
#include "spec/files.h"

namespace flowloom {
namespace {

struct CertsOptions {
  std::string folder;
  std::vector<std::string> hosts;
};

int certs(const CertsOptions& options, const Console& console) {
  const MadeCerts made = make_certs(options.folder, options.hosts);
  std::ostream& out = console.out;
  if (made.files.empty()) {
    out << "'" << options.folder
        << "' has everything already; give --host for one more coordinator's certificate, or remove what is to be made "
           "anew.\n";
  }
  for (const auto& file : made.files) {
    out << "made " << file.string();
    if (file.extension() == ".crt") {
      out << ", until " << date(read_certificate(read_file(file), file.string()).until);
    }
    if (file == made.server) {
      out << ", for";
      for (const std::string& host : made.hosts) out << " " << host;
    }
    out << "\n";
  }
  if (made.server.empty()) return 0;
  const std::string server = made.server.stem().string();
  out << "\n"
      << "A machine needs a folder with these, keys and tokens at mode 600 (one that sees " << options.folder
      << " needs no copy):\n"
      << "  coordinator     ca.crt " << server << ".crt " << server
      << ".key worker.token trainer.token client.token admin.token\n"
      << "  worker          ca.crt worker.token\n"
      << "  server          ca.crt trainer.token\n"
      << "  flowloom        ca.crt client.token (admin.token for flowloom drain)\n"
      << "  and for --require-client-cert everybody who calls: client.crt client.key\n"
      << "ca.key stays here: who has it can pass for any of them.\n"
      << "Then: flowloom-coordinator --tls " << options.folder << " --listen " << made.hosts.front() << ":4000 ...\n";
  return 0;
}

}  // namespace

void add_certs(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("certs", "Make certificates and tokens for a cluster: what is missing in a folder");
  auto options = std::make_shared<CertsOptions>();
  command->add_option("folder", options->folder, "Where they are to lie; made if it does not exist")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--host", options->hosts,
                   "A name or IP address that callers use for the coordinator (again for more)")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->callback(
      [&action, options] { action = [options](const Console& console) { return certs(*options, console); }; });
}

}  // namespace flowloom
