#include "client/final_report.h"

#include "client/numbers.h"
#include "client/results.h"
#include "client/text.h"

namespace flowloom {
namespace {

std::string whole(std::uint64_t number) { return std::to_string(number); }

std::string proposals_text(const FinalReport& report) {
  std::string text = whole(report.analysis.proposals) + ", " + whole(report.analysis.invalid) + " invalid";
  if (report.rate.seconds() > 0) {
    text += ", " + with_si_prefix(report.rate.per_second()) + " per second over the " +
            duration(report.rate.seconds()) + " in which they were drawn";
  }
  return text;
}

}  // namespace

std::vector<std::string> final_lines(const FinalReport& report) {
  const auto& analysis = report.analysis;
  std::vector<std::string> lines;
  const auto fact = [&](const std::string& label, const std::string& text) {
    lines.push_back("  " + padded(label, 13) + printable(text));
  };
  lines.push_back(printable(report.status.name()) + ": " + state_name(report.status.state()) +
                  (report.wall_seconds > 0 ? " after " + duration(report.wall_seconds) : ""));
  lines.emplace_back();
  for (const std::string& line : observable_lines(analysis.rows)) lines.push_back("  " + line);
  lines.emplace_back();
  fact("acceptance", shown(analysis.acceptance) + ", tau_acc " + shown(analysis.tau_acc, 3) +
                         ", longest rejection run " + whole(analysis.longest_rejection_run));
  fact("ESS", shown(analysis.ess));
  fact("ln Z", log_z_text(analysis.log_z.value, analysis.log_z.error, analysis.exact_log_z));
  fact("proposals", proposals_text(report));
  fact("burn-in", whole(analysis.discarded) + " steps discarded" +
                      (analysis.discarded == 0 ? " ('flowloom up … --burn-in N' discards some)" : ""));
  bool first = true;
  for (const std::string& line : model_lines(report.status.models())) {
    fact(first ? "versions" : "", line);
    first = false;
  }
  first = true;
  for (const std::string& note : notes_under_table(report.status, analysis.discarded)) {
    fact(first ? "exactness" : "", note);
    first = false;
  }
  fact("numerics", report.status.numerics());
  fact("digest", report.status.head());
  fact("directory", report.directory.string());
  const std::string directory = shell_word(report.directory.string());
  fact("next", report.program + " status " + directory);
  fact("", report.program + " samples " + directory + " > samples.csv");
  fact("", report.program + " verify " + directory);
  return lines;
}

nlohmann::json final_json(const FinalReport& report) {
  nlohmann::json json = analysis_json(report.analysis);
  json["name"] = report.status.name();
  json["run_id"] = report.status.run_id();
  json["state"] = state_name(report.status.state());
  json["length"] = report.status.length();
  json["numerics"] = report.status.numerics();
  json["models"] = models_json(report.status.models());
  json["notes"] = report.status.notes();
  json["head"] = report.status.head();
  json["directory"] = report.directory.string();
  json["proposals_per_second"] = report.rate.per_second();
  json["sampling_seconds"] = report.rate.seconds();
  json["wall_seconds"] = report.wall_seconds;
  return json;
}

}  // namespace flowloom
