// flowloom verify: checks a log from itself alone, and by drawing some of its units again.
#include <ostream>
#include <random>

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
  std::string head;   // that somebody remembers; empty: none
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
  if (report.good && report.units == 0) {
    console.out << "recomputed nothing: the chain has no unit yet\n";
  } else if (report.good) {
    console.out << "recomputed " << report.units << " units, " << 100 * options.recompute.share
                << " % of all by --seed " << options.recompute.seed << ": workers find the logged numbers again\n";
  } else {
    console.out << "FAULT: " << report.sentence << "\n"
                << "found with --recompute " << 100 * options.recompute.share << "% --seed " << options.recompute.seed
                << "\n";
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
  place.options.say = [&](const std::string& line) { console.err << line << std::endl; };
  const RecomputeReport report =
      recompute_there(place.where, place.options, options.recompute, recompute_progress(console));
  if (!options.json) return tell(options, report, console);
  console.out << json_text({{"recompute", recompute_json(options, report)}}) << "\n";
  return report.good ? 0 : 1;
}

int verify(VerifyOptions options, const Console& console) {
  if (!options.share.empty()) options.recompute.share = share_of(options.share);
  if (options.recompute.seed == 0) {  // who knows beforehand what will be drawn again could err only elsewhere
    std::random_device random;
    options.recompute.seed = std::uniform_int_distribution<std::uint32_t>(1)(random);
  }
  if (is_address(options.place.where)) return recompute_at(options, console);
  const RunDirectory directory(options.place.where);
  directory.refuse_lost_store();
  const auto remembered = options.head.empty() ? std::nullopt : std::optional(sha256_from_hex(options.head, "--head"));
  VerifyReport report;
  {
    const Store store = Store::open(directory.store(), Store::Mode::kReadOnly);
    const RunSpec run = directory.read_run(load_run_text);
    const std::string total = std::to_string(store.frontier());
    const auto progress = [&](std::uint64_t proposals) {
      if (console.err_is_terminal)
        console.err << "\rchecked " << proposals << " of " << total << " proposals" << std::flush;
    };
    report = verify_log(store, run, progress, 0, remembered);
    if (report.good) report.sentence = damaged_model(store, [&](std::uint32_t v) { return directory.model(v); });
    report.good = report.sentence.empty();
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
    if (report.remembered) json["remembered_record"] = *report.remembered;
    if (recomputed) json["recompute"] = recompute_json(options, *recomputed);
    console.out << json_text(json) << "\n";
  } else if (report.good) {
    console.out << "good: every record follows from the one before, every accept decision from the logged numbers and "
                   "the noise; the checkpoints are those of the log\n"
                << "records    " << report.records << ", each with its link\n"
                << "proposals  " << report.proposals << ": " << report.accepted << " accepted, " << report.invalid
                << " invalid"
                << (report.left_behind ? "; " + std::to_string(report.left_behind) + " left behind by rewinds" : "")
                << "\n"
                << "digest     " << to_hex(report.head) << "\n";
    if (report.remembered) {
      console.out << "--head     "
                  << (*report.remembered == report.records ? "the digest"
                                                           : "the link of record " + std::to_string(*report.remembered))
                  << "\n";
    }
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
  add_wait(*command, options->place);
  command
      ->add_option("--head", options->head,
                   "A digest of this log that was noted earlier: the log must still hold all that it had then")
      ->type_name("DIGEST");
  command
      ->add_option("--recompute", options->share,
                   "Draw this share of the units again, through workers, and compare: 1% or 0.01")
      ->type_name("SHARE");
  command
      ->add_option("--seed", options->recompute.seed,
                   "Which units are drawn again, as an earlier call said; default: others each time")
      ->check(CLI::Range(1u, 4294967295u));
  command->add_option("--workers", options->recompute.workers, "Worker processes that are started for it")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--device", options->recompute.device, kDeviceHelp)->check(device_refusal)->capture_default_str();
  command->add_flag("--json", options->json, "As one JSON object");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return verify(*options, console); }; });
}

}  // namespace flowloom
