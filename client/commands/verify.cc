// flowloom verify: checks a log from itself alone, and by drawing some of its units again.
#include <ostream>

#include "chain/verify.h"
#include "client/commands/commands.h"
#include "client/recompute.h"
#include "client/results.h"
#include "flow/catalog.h"
#include "flow/engine.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

struct VerifyOptions {
  Place place;
  bool json = false;
  std::string share;  // "1%" or "0.01"; empty: none
  RecomputeOptions recompute;
};

double share_of(const std::string& text) {
  std::size_t end = 0;
  double share = 0;
  try {
    share = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  const bool percent = text.substr(end) == "%";
  if (percent) share /= 100;
  if (!(share > 0 && share <= 1) || (!percent && end != text.size())) {
    throw Error(ErrorCode::kInvalidInput,
                "--recompute " + text + ": must be a share of the units, \"1%\" or \"0.01\".");
  }
  return share;
}

RecomputeProgress recompute_progress(const Console& console) {
  return [&console](std::uint64_t units) {
    if (console.err_is_terminal) console.err << "\rdrew " << units << " units again" << std::flush;
  };
}

nlohmann::json recompute_json(const VerifyOptions& options, const RecomputeReport& report) {
  return {{"good", report.good},
          {"sentence", report.sentence},
          {"units", report.units},
          {"share", options.recompute.share},
          {"seed", options.recompute.seed}};
}

int tell(const VerifyOptions& options, const RecomputeReport& report, const Console& console) {
  if (console.err_is_terminal) console.err << "\r\x1b[K" << std::flush;
  if (report.good) {
    console.out << "recomputed " << report.units << " units, " << 100 * options.recompute.share
                << " % of all by --seed " << options.recompute.seed << ": workers find the logged numbers again\n";
  } else {
    console.out << "FAULT: " << report.sentence << "\n";
  }
  return report.good ? 0 : 1;
}

// The workers of a running coordinator do it; the log itself is read where it lies.
int recompute_at(const VerifyOptions& options, const Console& console) {
  if (options.share.empty()) {
    throw Error(ErrorCode::kInvalidInput,
                "A running chain's log is checked in its directory, once nobody serves it; at an "
                "address give --recompute, which draws a share of its units again.");
  }
  Place place = options.place;
  place.options.role = Role::kAdmin;
  const Connection connection(find_coordinator(place.where, place.options));
  const RecomputeReport report = recompute_there(connection, options.recompute, recompute_progress(console));
  if (!options.json) return tell(options, report, console);
  console.out << json_text({{"recompute", recompute_json(options, report)}}) << "\n";
  return report.good ? 0 : 1;
}

int verify(VerifyOptions options, const Console& console) {
  if (!options.share.empty()) options.recompute.share = share_of(options.share);
  if (is_address(options.place.where)) return recompute_at(options, console);
  const RunDirectory directory(options.place.where);
  VerifyReport report;
  {
    const Store store = Store::open(directory.store(), Store::Mode::kReadOnly);
    const RunSpec run = load_run_text(directory.read_run_file(), directory.run_file().string());
    const std::string total = std::to_string(store.frontier());
    const auto progress = [&](std::uint64_t proposals) {
      if (console.err_is_terminal)
        console.err << "\rchecked " << proposals << " of " << total << " proposals" << std::flush;
    };
    report = verify_log(store, run, progress);
  }
  if (console.err_is_terminal) console.err << "\r\x1b[K" << std::flush;
  std::optional<RecomputeReport> recomputed;
  if (report.good && !options.share.empty()) {
    recomputed = recompute_here(directory, options.recompute, recompute_progress(console));
  }
  if (options.json) {
    nlohmann::json json = {{"good", report.good},
                           {"sentence", report.sentence},
                           {"records", report.records},
                           {"proposals", report.proposals},
                           {"accepted", report.accepted},
                           {"invalid", report.invalid},
                           {"left_behind", report.left_behind},
                           {"head", to_hex(report.head)}};
    if (recomputed) json["recompute"] = recompute_json(options, *recomputed);
    console.out << json_text(json) << "\n";
  } else if (report.good) {
    console.out << "good: every record follows from the one before, every accept decision from the logged numbers and "
                   "the noise\n"
                << "records    " << report.records << ", each with its link\n"
                << "proposals  " << report.proposals << ": " << report.accepted << " accepted, " << report.invalid
                << " invalid"
                << (report.left_behind ? "; " + std::to_string(report.left_behind) + " left behind by rewinds" : "")
                << "\n"
                << "digest     " << to_hex(report.head) << "\n";
  } else {
    console.out << "FAULT: " << report.sentence << "\n"
                << "good up to proposal " << report.proposals << "\n";
  }
  if (recomputed && !options.json) tell(options, *recomputed, console);
  return report.good && (!recomputed || recomputed->good) ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("verify", "Check every link and every accept decision of a log");
  auto options = std::make_shared<VerifyOptions>();
  add_place(*command, options->place);
  command
      ->add_option("--recompute", options->share,
                   "Draw this share of the units again, through workers, and compare: 1% or 0.01")
      ->type_name("SHARE");
  command->add_option("--seed", options->recompute.seed, "Which units are drawn again")
      ->check(CLI::Range(1u, 4294967295u))
      ->capture_default_str();
  command->add_option("--workers", options->recompute.workers, "Worker processes that are started for it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--device", options->recompute.device, kDeviceHelp)->check(device_refusal)->capture_default_str();
  command->add_flag("--json", options->json, "As one JSON object");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return verify(*options, console); }; });
}

}  // namespace flowloom
